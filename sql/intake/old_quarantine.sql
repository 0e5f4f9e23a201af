-- Whether entries of a table that were closed before a time are kept still.
SELECT count() > 0
FROM masques_ops.quarantine FINAL
WHERE table_name = {table_name:String} AND state != 'open'
    AND updated_at < toDateTime64({before:String}, 6, 'UTC')
