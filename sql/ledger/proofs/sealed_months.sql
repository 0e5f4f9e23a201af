-- Events of the seals after a sequence number and up to another, by month (no batch has two), and where
-- the last of them, or the first of those two, ends.
SELECT
    toYYYYMM(fromUnixTimestamp64Nano(toInt64(to_ns), 'UTC')) AS month,
    sumIf(events, sequence > {after_sequence:UInt64}) AS later_events,
    max(to_ns) AS sealed_to_ns
FROM masques_ops.ledger_seals FINAL
WHERE sequence >= {after_sequence:UInt64} AND sequence <= {to_sequence:UInt64}
GROUP BY month
ORDER BY month
