-- When each bucket or partition was last read, and what was found.
SELECT bucket, toUnixTimestamp(checked_at), finding
FROM masques_ops.inventory_checks FINAL
WHERE table_name = {table:String} AND what = {what:String}
