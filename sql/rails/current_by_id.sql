-- The newest revision of each of the given settlements.
-- Skip indexes are not used: the engine was seen to leave out rows of a bloom filter's column, and a
-- row that is not found here would be written again.
SELECT *, toUnixTimestamp64Nano(timestamp) AS timestamp_ns
FROM masques.settlements
WHERE settlement_id IN (SELECT toUUID(arrayJoin({ids:Array(String)})))
ORDER BY settlement_id, revision DESC
LIMIT 1 BY settlement_id
SETTINGS use_skip_indexes = 0
