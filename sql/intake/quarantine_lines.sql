-- Lines of quarantine to try again, byte for byte, from one place on.
SELECT source, line_no, toString(reason) AS reason, hex(raw) AS raw_hex
FROM masques_ops.quarantine FINAL
WHERE ({table_name:String} = '' OR table_name = {table_name:String})
    AND ({reason:String} = '' OR reason = {reason:String}
        OR startsWith(reason, concat({reason:String}, ':')))
    AND ({source:String} = '' OR source = {source:String})
    AND ({state:String} = '' OR state = {state:String})
    AND line_no > 0
    AND (source, line_no) > ({after_source:String}, {after_line:UInt64})
ORDER BY source, line_no
LIMIT {rows:UInt64}
