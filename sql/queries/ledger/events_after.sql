-- How many events lie after a time, and how many distinct times they have: the two must be one. In the
-- table's own order, so that it takes no memory however many there are.
SELECT sum(at_once) AS events, count() AS times
FROM
(
    SELECT timestamp, count() AS at_once
    FROM masques.transactions
    WHERE timestamp > fromUnixTimestamp64Nano({after_ns:Int64}, 'UTC')
    GROUP BY timestamp
)
SETTINGS optimize_aggregation_in_order = 1
