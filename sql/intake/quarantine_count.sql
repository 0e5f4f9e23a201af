-- How many entries of quarantine are meant.
SELECT count() AS rows
FROM masques_ops.quarantine FINAL
WHERE ({table_name:String} = '' OR table_name = {table_name:String})
    AND ({reason:String} = '' OR reason = {reason:String}
        OR startsWith(reason, concat({reason:String}, ':')))
    AND ({source:String} = '' OR source = {source:String})
    AND ({state:String} = '' OR state = {state:String})
