-- The partitions of a table that have rows of some buckets.
SELECT DISTINCT _partition_id
FROM {database:Identifier}.{table:Identifier}
WHERE (/*of_buckets*/)
ORDER BY _partition_id
