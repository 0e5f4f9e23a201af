-- Events after a ledger time and up to another.
SELECT count() AS events
FROM masques.transactions
WHERE timestamp > fromUnixTimestamp64Nano(toInt64({base_ns:UInt64}), 'UTC')
    AND timestamp <= fromUnixTimestamp64Nano(toInt64({until_ns:UInt64}), 'UTC')
