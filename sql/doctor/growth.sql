-- Bytes that a day adds to the tables, by the rows that were written in the last week and the size of a row.
SELECT toUInt64(greatest(sum(w.rows * t.row_bytes), 0) / 7) AS bytes_per_day
FROM
(
    SELECT table_name, sum(rows) AS rows
    FROM masques_ops.inventory FINAL
    WHERE recorded_at > now() - INTERVAL 7 DAY AND write_id != toUUID('00000000-0000-0000-0000-000000000000')
    GROUP BY table_name
) AS w
INNER JOIN
(
    SELECT concat(database, '.', name) AS table_name, assumeNotNull(total_bytes) / total_rows AS row_bytes
    FROM system.tables
    WHERE database = 'masques' AND total_rows > 0 AND isNotNull(total_bytes)
) AS t ON t.table_name = w.table_name
