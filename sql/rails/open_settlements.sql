-- The latest revision of each settlement of a rail that is neither confirmed nor failed.
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
        WHERE rail = {rail:String} AND status IN ('pending', 'unknown')
    )
    ORDER BY settlement_id, revision DESC
    LIMIT 1 BY settlement_id
)
WHERE status IN ('pending', 'unknown')
ORDER BY timestamp, settlement_id
SETTINGS use_skip_indexes = 0
