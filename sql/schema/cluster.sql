-- The clusters that the server knows, and the engines of our databases.
SELECT 'cluster' AS what, cluster AS name, '' AS engine FROM system.clusters GROUP BY cluster
UNION ALL
SELECT 'database' AS what, name, engine
FROM system.databases
WHERE name IN ('masques', 'masques_ops', 'masques_marts')
ORDER BY what, name
