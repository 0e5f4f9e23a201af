-- Imported transfers in a span of ledger time: they may have landed behind a reading of the accounts.
SELECT countIf(bitAnd(flags, 256) != 0) AS imported
FROM masques.transactions
WHERE timestamp > fromUnixTimestamp64Nano(toInt64({base_ns:UInt64}), 'UTC')
    AND timestamp <= fromUnixTimestamp64Nano(toInt64({until_ns:UInt64}), 'UTC')
