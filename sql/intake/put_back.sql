-- Rows that were set aside and that no file brought back: nothing is lost that a file no longer has.
INSERT INTO {database:Identifier}.{table:Identifier}
SELECT *
FROM masques_ops.{aside:Identifier}
WHERE (/*of_buckets*/) AND (/*key*/) NOT IN (SELECT /*key*/ FROM {database:Identifier}.{table:Identifier})
