-- Rows and content of some buckets, without those of writes that are not ended.
SELECT bucket, count(), sum(row_hash)
FROM {database:Identifier}.{view:Identifier}
WHERE ingested_at < toDateTime64({before:String}, 3, 'UTC') AND bucket IN {buckets:Array(String)}
GROUP BY bucket
