-- Up to which unit everything of payment channels is settled: the end of the newest claim that all open
-- vouchers come after, and the newest voucher too.
-- Without skip indexes: see current_by_id.sql.
WITH
    vouchers AS
    (
        SELECT channel, argMax(state, revision) AS newest_state, any(total) AS total
        FROM
        (
            SELECT settlement_id, revision, payment_ref AS channel, toString(status) AS state,
                toUInt256OrZero(attributes['charged_total']) AS total
            FROM masques.settlements
            WHERE rail = {rail:String} AND network = {network:String}
                AND payment_ref IN (SELECT arrayJoin({channels:Array(String)}))
                AND mapContains(attributes, 'charged_total')
        )
        GROUP BY settlement_id, channel
    ),
    firsts AS
    (
        SELECT channel,
            if(countIf(newest_state IN ('off_chain', 'claimable')) = 0, max(total),
                least(max(total), minIf(total, newest_state IN ('off_chain', 'claimable')))) AS first_open
        FROM vouchers
        GROUP BY channel
    )
SELECT c.channel_id AS channel_id, max(c.total_units) AS settled_to
FROM masques_ops.channel_claims AS c FINAL
INNER JOIN firsts AS f ON f.channel = c.channel_id
WHERE c.rail = {rail:String} AND c.network = {network:String} AND toUInt256(c.total_units) < f.first_open
GROUP BY channel_id
SETTINGS use_skip_indexes = 0
