-- Rows of each month, all and those that no seal covers. The parts' own counts: no row is read for the
-- first. A row that was deleted lightly does not count.
SELECT month, sum(all_rows) AS rows, sum(unsealed) AS rows_not_sealed
FROM
(
    SELECT toYYYYMM(timestamp) AS month, count() AS all_rows, 0 AS unsealed
    FROM masques.transactions
    GROUP BY month
    UNION ALL
    SELECT toYYYYMM(timestamp) AS month, 0, count()
    FROM masques.transactions
    WHERE timestamp > fromUnixTimestamp64Nano({sealed_to_ns:Int64}, 'UTC')
    GROUP BY month
)
GROUP BY month
ORDER BY month
