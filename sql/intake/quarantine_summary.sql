-- Entries of quarantine by table and reason.
SELECT
    toString(table_name) AS table_name,
    toString(reason) AS reason,
    toString(state) AS state,
    count() AS rows,
    min(first_seen) AS oldest,
    max(attempts) AS attempts
FROM masques_ops.quarantine FINAL
WHERE ({table_name:String} = '' OR table_name = {table_name:String})
    AND ({reason:String} = '' OR reason = {reason:String}
        OR startsWith(reason, concat({reason:String}, ':')))
    AND ({source:String} = '' OR source = {source:String})
    AND ({state:String} = '' OR state = {state:String})
GROUP BY table_name, reason, state
ORDER BY table_name, rows DESC, reason
