-- The claims of payment channels that are recorded, above a unit of each channel.
SELECT
    channel_id, total_units AS total, units, tx_hash, block AS block_height, block_hash,
    toUnixTimestamp64Nano(time) AS time_ns, submitted_by, network_fee
FROM masques_ops.channel_claims FINAL
WHERE rail = {rail:String} AND network = {network:String}
    AND channel_id IN (SELECT arrayJoin({channels:Array(String)}))
    AND toUInt256(total_units)
        > toUInt256(transform(channel_id, {channels:Array(String)}, {floors:Array(String)}, '0'))
ORDER BY channel_id, total
