-- Entries of quarantine with their raw lines, shown as text.
SELECT
    toString(table_name) AS table_name,
    source,
    line_no,
    toString(reason) AS reason,
    toValidUTF8(raw) AS raw,
    first_seen,
    attempts,
    toString(state) AS state
FROM masques_ops.quarantine FINAL
WHERE ({table_name:String} = '' OR table_name = {table_name:String})
    AND ({reason:String} = '' OR reason = {reason:String}
        OR startsWith(reason, concat({reason:String}, ':')))
    AND ({source:String} = '' OR source = {source:String})
    AND ({state:String} = '' OR state = {state:String})
ORDER BY table_name, source, line_no
LIMIT {rows:UInt64}
