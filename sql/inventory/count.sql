-- Counts the rows of a write. Sent twice, or once more after a kill, it writes the same keys again.
INSERT INTO masques_ops.inventory (table_name, bucket, part, write_id, rows, digest, recorded_at)
SELECT {table:String}, bucket, {part:String}, {write_id:UUID}, count(), sum(row_hash), now64(6, 'UTC')
FROM {database:Identifier}.{view:Identifier}
WHERE ingested_at >= toDateTime64({begun_at:String}, 3, 'UTC') AND part = {part:String}
    AND NOT has({restores:Array(String)}, bucket)
GROUP BY bucket
