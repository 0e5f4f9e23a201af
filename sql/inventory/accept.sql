-- Makes what a bucket has now what was written to it.
INSERT INTO masques_ops.inventory (table_name, bucket, part, write_id, rows, digest, recorded_at)
SELECT
    {table:String}, bucket, '', {write_id:UUID}, sum(side * rows), sum(side_digest), now64(6, 'UTC')
FROM
(
    SELECT bucket, toInt8(1) AS side, toInt64(count()) AS rows, sum(row_hash) AS side_digest
    FROM {database:Identifier}.{view:Identifier}
    WHERE bucket > {kept_from:String}
    GROUP BY bucket
    UNION ALL
    SELECT bucket, toInt8(-1), toInt64(sum(rows)), bitNot(sum(digest)) + 1
    FROM masques_ops.inventory FINAL
    WHERE table_name = {table:String} AND bucket > {kept_from:String}
    GROUP BY bucket
)
GROUP BY bucket
HAVING sum(side * rows) != 0 OR sum(side_digest) != 0
