-- Rows in all, and the newest event's time in nanoseconds; 0 when there is none.
SELECT count() AS total, toUnixTimestamp64Nano(max(timestamp)) AS newest_ns
FROM masques.transactions
