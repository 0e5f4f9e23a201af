-- The entries of a selection; '' means all. It takes the place of a comment in the statements of
-- this folder.
SELECT table_name, source, line_no, reason, raw, first_seen, attempts, state
FROM masques_ops.quarantine FINAL
WHERE ({table_name:String} = '' OR table_name = {table_name:String})
    AND ({reason:String} = '' OR reason = {reason:String}
        OR startsWith(reason, concat({reason:String}, ':')))
    AND ({source:String} = '' OR source = {source:String})
    AND ({source_prefix:String} = '' OR startsWith(source, {source_prefix:String}))
    AND ({state:String} = '' OR state = {state:String})
