-- The rows of some buckets, kept until they came back from their files.
INSERT INTO masques_ops.{aside:Identifier}
SELECT *
FROM {database:Identifier}.{table:Identifier}
WHERE (/*of_buckets*/)
