-- How many events lie after a time, and how many distinct times they have: the two must be one.
SELECT count() AS events, uniqExact(timestamp) AS times
FROM masques.transactions
WHERE timestamp > fromUnixTimestamp64Nano({after_ns:Int64}, 'UTC')
