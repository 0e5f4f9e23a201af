-- The newest revision of each of the given settlements.
SELECT *, toUnixTimestamp64Nano(timestamp) AS timestamp_ns
FROM masques.settlements
WHERE settlement_id IN (SELECT toUUID(arrayJoin({ids:Array(String)})))
ORDER BY settlement_id, revision DESC
LIMIT 1 BY settlement_id
