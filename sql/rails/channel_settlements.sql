-- The latest revision of each voucher of payment channels, and of each claim without one, above a unit
-- of each channel: what is settled below it does not change.
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
        AND toUInt256OrZero(if(mapContains(attributes, 'charged_total'), attributes['charged_total'],
            attributes['claim_to']))
            > toUInt256(transform(payment_ref, {channels:Array(String)}, {floors:Array(String)}, '0'))
)
ORDER BY settlement_id, revision DESC
LIMIT 1 BY settlement_id
SETTINGS use_skip_indexes = 0
