-- The payments by Circle Gateway that are recorded as settled by batches, as they stand now.
-- Without skip indexes: see current_by_id.sql.
SELECT *
FROM
(
    SELECT *, toUnixTimestamp64Nano(timestamp) AS timestamp_ns
    FROM masques.settlements
    WHERE settlement_id IN
    (
        SELECT settlement_id
        FROM masques.settlements
        WHERE rail = {rail:String} AND network = {network:String}
            AND attributes['batch_hash'] IN (SELECT arrayJoin({hashes:Array(String)}))
    )
    ORDER BY settlement_id, revision DESC
    LIMIT 1 BY settlement_id
)
WHERE status = 'confirmed' AND attributes['batch_hash'] IN (SELECT arrayJoin({hashes:Array(String)}))
SETTINGS use_skip_indexes = 0
