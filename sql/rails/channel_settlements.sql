-- The latest revision of each voucher of payment channels, and of each claim without one.
-- Without skip indexes: see current_by_id.sql.
SELECT *, toUnixTimestamp64Nano(timestamp) AS timestamp_ns
FROM masques.settlements
WHERE settlement_id IN
(
    SELECT settlement_id
    FROM masques.settlements
    WHERE rail = {rail:String} AND network = {network:String}
        AND payment_ref IN (SELECT arrayJoin({channels:Array(String)}))
        AND mapContains(attributes, 'channel_id')
)
ORDER BY settlement_id, revision DESC
LIMIT 1 BY settlement_id
SETTINGS use_skip_indexes = 0
