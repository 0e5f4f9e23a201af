-- Rows after the last seal that are no expiries: a seal follows each batch, so there are none.
SELECT transaction_id, toUnixTimestamp64Nano(timestamp) AS at_ns
FROM masques.transactions
WHERE timestamp > fromUnixTimestamp64Nano(toInt64({sealed_to_ns:UInt64}), 'UTC')
    AND event_type != 'two_phase_expired'
ORDER BY timestamp
LIMIT 20
