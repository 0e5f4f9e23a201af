-- The events after a time, as three numbers that no other set of times has (but for one chance in
-- 2^64): how many, the sum of their times in nanoseconds, and the sum of the squares, both modulo
-- 2^64. Counting the distinct times themselves took a tenth of a whole back-fill.
SELECT count() AS events, sum(at_ns) AS times_sum, sum(at_ns * at_ns) AS squares_sum
FROM
(
    SELECT toUInt64(toUnixTimestamp64Nano(timestamp)) AS at_ns
    FROM masques.transactions
    WHERE timestamp > fromUnixTimestamp64Nano({after_ns:Int64}, 'UTC')
)
