-- Rows and bytes of each table that holds any, the largest first.
SELECT concat(database, '.', name) AS table, toUInt64(assumeNotNull(total_rows)) AS rows, toUInt64(ifNull(total_bytes, 0)) AS bytes
FROM system.tables
WHERE database IN ('masques', 'masques_ops') AND total_rows > 0
ORDER BY bytes DESC
