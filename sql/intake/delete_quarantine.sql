-- Deletes entries of a table that were closed before a time, in all their versions.
DELETE FROM masques_ops.quarantine
WHERE table_name = {table_name:String} AND (source, line_no) IN
(
    SELECT source, line_no
    FROM masques_ops.quarantine FINAL
    WHERE table_name = {table_name:String} AND state != 'open'
        AND updated_at < toDateTime64({before:String}, 6, 'UTC')
)
