-- The latest revision of each of the given settlements.
-- Without skip indexes: with a bloom filter's column the engine was seen to leave out rows, and a row
-- that is not found here would be written again.
SELECT *, toUnixTimestamp64Nano(timestamp) AS timestamp_ns
FROM masques.settlements
WHERE settlement_id IN (SELECT toUUID(arrayJoin({ids:Array(String)})))
ORDER BY settlement_id, revision DESC
LIMIT 1 BY settlement_id
SETTINGS use_skip_indexes = 0
