-- How many rows the table has gained from the batch at hand, and of how many keys.
SELECT count() AS rows, uniqExact(row_key) AS keys
FROM masques_ops.{keys:Identifier}
WHERE ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    AND row_key IN (SELECT row_key FROM masques_ops.{staged:Identifier} WHERE reason = '')
    AND row_key NOT IN (SELECT row_key FROM masques_ops.intake_known)
