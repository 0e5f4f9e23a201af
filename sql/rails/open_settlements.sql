-- The newest revision of each settlement of a rail that is neither confirmed nor failed.
-- Skip indexes are not used: the engine was seen to leave out rows of a bloom filter's column, and a
-- row that is not found here would be written again.
SELECT *, toUnixTimestamp64Nano(timestamp) AS timestamp_ns
FROM
(
    SELECT *
    FROM masques.settlements
    WHERE settlement_id IN
    (
        SELECT settlement_id
        FROM masques.settlements
        WHERE rail = {rail:String} AND status IN ('pending', 'unknown')
    )
    ORDER BY settlement_id, revision DESC
    LIMIT 1 BY settlement_id
)
WHERE status IN ('pending', 'unknown')
ORDER BY timestamp, settlement_id
SETTINGS use_skip_indexes = 0
