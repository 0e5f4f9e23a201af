-- The rows of a partition but those of some buckets.
INSERT INTO masques_ops.{kept:Identifier}
SELECT *
FROM {database:Identifier}.{table:Identifier}
WHERE _partition_id = {partition:String} AND NOT (/*of_buckets*/)
