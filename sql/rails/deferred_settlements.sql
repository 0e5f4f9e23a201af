-- Payments by Circle Gateway that no batch has settled: accepted, or closed because their deadline
-- passed without one since `closed_since_s`. By id, from the one after `after` around the circle.
-- Without skip indexes: see current_by_id.sql.
SELECT *, toUnixTimestamp64Nano(timestamp) AS timestamp_ns
FROM
(
    SELECT *
    FROM masques.settlements
    WHERE settlement_id IN
    (
        SELECT settlement_id
        FROM masques.settlements
        WHERE rail = {rail:String} AND network = {network:String}
        GROUP BY settlement_id
        HAVING argMax(
            NOT mapContains(attributes, 'charged_total')
            AND match(payment_ref, '^0x[0-9a-f]{64}$')
            AND (status = 'off_chain' OR (status = 'unknown'
                AND failure_reason IN ('not_settled_until_deadline', 'batch_not_proved')
                AND toInt256OrZero(attributes['deadline_s']) >= {closed_since_s:Int64})), revision)
        ORDER BY toString(settlement_id) <= {after:String}, toString(settlement_id)
        LIMIT {limit:UInt32}
    )
    ORDER BY settlement_id, revision DESC
    LIMIT 1 BY settlement_id
)
ORDER BY toString(settlement_id) <= {after:String}, toString(settlement_id)
SETTINGS use_skip_indexes = 0
