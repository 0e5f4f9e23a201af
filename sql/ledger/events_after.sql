-- The events after a time in three numbers: how many, the sum of their times in nanoseconds, and the
-- sum of the squares, both modulo 2^64. A lost, doubled or foreign event changes them; that several
-- cancel out in all three at once is not to be expected, and the seals would show it. Counting the
-- distinct times themselves took a tenth of a whole back-fill.
SELECT count() AS events, sum(at_ns) AS times_sum, sum(at_ns * at_ns) AS squares_sum
FROM
(
    SELECT toUInt64(toUnixTimestamp64Nano(timestamp)) AS at_ns
    FROM masques.transactions
    WHERE timestamp > fromUnixTimestamp64Nano({after_ns:Int64}, 'UTC')
)
