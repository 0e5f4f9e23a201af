-- Every skip index of the three databases.
SELECT concat(database, '.', table) AS object, name, type_full, expr, granularity
FROM system.data_skipping_indices
WHERE database IN ('masques', 'masques_ops', 'masques_marts')
ORDER BY object, name
