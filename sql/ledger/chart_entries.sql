-- The chart in force.
SELECT DISTINCT kind, code, name, scale
FROM masques_ops.chart_entries
WHERE version = (SELECT max(version) FROM masques_ops.chart_entries)
ORDER BY kind, code
