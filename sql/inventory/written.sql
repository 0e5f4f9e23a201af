-- What was written, by bucket, without the writes that are not ended.
SELECT bucket, sum(rows), sum(digest)
FROM masques_ops.inventory FINAL
WHERE table_name = {table:String} AND bucket > {kept_from:String}
    AND NOT has({open:Array(UUID)}, write_id)
GROUP BY bucket
