-- Rows that were derived anew, and their distinct times: the two must be one. Older rows may be
-- removed for their age at any moment.
SELECT count() AS rows, uniqExact(timestamp) AS times
FROM masques_ops.transactions_rebuilt
WHERE timestamp > fromUnixTimestamp64Nano(toInt64({horizon_ns:UInt64}), 'UTC')
