-- Gives entries up; they stay, as discarded.
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT table_name, source, line_no, reason, raw, first_seen, attempts, 'discarded', now64(6)
FROM masques_ops.quarantine FINAL
WHERE ({table_name:String} = '' OR table_name = {table_name:String})
    AND ({reason:String} = '' OR reason = {reason:String}
        OR startsWith(reason, concat({reason:String}, ':')))
    AND ({source:String} = '' OR source = {source:String})
    AND ({state:String} = '' OR state = {state:String})
