-- Every column of the three databases, in order.
SELECT concat(database, '.', table) AS object, name, type, default_kind, default_expression, comment
FROM system.columns
WHERE database IN ('masques', 'masques_ops', 'masques_marts') AND NOT startsWith(table, '.')
ORDER BY object, position
