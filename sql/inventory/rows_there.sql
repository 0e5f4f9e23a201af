-- How many rows each bucket has, without those of writes that are not ended.
SELECT bucket, count()
FROM {database:Identifier}.{view:Identifier}
WHERE ingested_at < toDateTime64({before:String}, 3, 'UTC') AND bucket > {kept_from:String}
GROUP BY bucket
