-- The latest revision of settlements of a network that are open: pending, or unknown and not closed. By
-- id, from the one after `after` around the circle, so that those that stay open keep nobody waiting.
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
        HAVING (argMax((toString(status), attributes['closed'] != ''), revision) AS latest).1 = 'pending'
            OR (latest.1 = 'unknown' AND NOT latest.2)
        ORDER BY toString(settlement_id) <= {after:String}, toString(settlement_id)
        LIMIT {limit:UInt32}
    )
    ORDER BY settlement_id, revision DESC
    LIMIT 1 BY settlement_id
)
ORDER BY toString(settlement_id) <= {after:String}, toString(settlement_id)
SETTINGS use_skip_indexes = 0
