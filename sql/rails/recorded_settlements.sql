-- The latest revision of settlements of a network that are confirmed in a range of blocks: for a rail
-- that reads them again. Two networks have the same heights.
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
            AND block_height BETWEEN {first:UInt64} AND {last:UInt64}
    )
    ORDER BY settlement_id, revision DESC
    LIMIT 1 BY settlement_id
)
WHERE status = 'confirmed' AND block_height BETWEEN {first:UInt64} AND {last:UInt64}
ORDER BY block_height, settlement_id
SETTINGS use_skip_indexes = 0
