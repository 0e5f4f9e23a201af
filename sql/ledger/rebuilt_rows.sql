-- Rows that were rebuilt, and their distinct times: the two must be equal. Older rows may be
-- removed for their age at any moment. In the table's own order, so that it takes no memory.
SELECT sum(at_once) AS rows, count() AS times
FROM
(
    SELECT timestamp, count() AS at_once
    FROM masques_ops.transactions_rebuilt
    WHERE timestamp > fromUnixTimestamp64Nano(toInt64({horizon_ns:UInt64}), 'UTC')
    GROUP BY timestamp
)
SETTINGS optimize_aggregation_in_order = 1
