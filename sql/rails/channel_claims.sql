-- The claims of payment channels that are recorded.
SELECT
    channel_id, total_units AS total, units, tx_hash, block AS block_height, block_hash,
    toUnixTimestamp64Nano(time) AS time_ns, submitted_by, network_fee
FROM masques_ops.channel_claims FINAL
WHERE rail = {rail:String} AND network = {network:String}
    AND channel_id IN (SELECT arrayJoin({channels:Array(String)}))
ORDER BY channel_id, total
