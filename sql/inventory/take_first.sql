-- Takes what a table holds for what was written, once: when nothing was ever counted of it.
INSERT INTO masques_ops.inventory (table_name, bucket, part, write_id, rows, digest, recorded_at)
SELECT {table:String}, bucket, part, toUUID('00000000-0000-0000-0000-000000000000'), toInt64(count()),
    sum(row_hash), now64(6, 'UTC')
FROM {database:Identifier}.{view:Identifier}
WHERE
    (SELECT count() FROM masques_ops.inventory_writes WHERE table_name = {table:String}) = 0
    AND (SELECT count() FROM masques_ops.inventory WHERE table_name = {table:String}) = 0
GROUP BY bucket, part
