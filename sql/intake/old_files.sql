-- Paths of the log of a folder whose newest entry is of before a time.
SELECT path
FROM masques_ops.intake_files
WHERE folder = {table_name:String}
GROUP BY path
HAVING max(recorded_at) < toDateTime64({before:String}, 6, 'UTC')
