-- Tables that a killed refresh left behind. A refresh computes into one and swaps it in at the end.
SELECT name
FROM system.tables
WHERE database = 'masques' AND startsWith(name, '.tmp')
ORDER BY name
