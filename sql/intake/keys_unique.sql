-- Keys that are there twice among the rows of the last two days; no row means success. (Each batch
-- is verified against the whole table when it is loaded.)
SELECT toString(row_key) AS key, count() AS rows
FROM masques_ops.{keys:Identifier}
WHERE ingested_at > now() - INTERVAL 2 DAY
GROUP BY row_key
HAVING rows > 1
ORDER BY rows DESC
LIMIT 20
