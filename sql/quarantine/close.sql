-- Closes open entries whose line is good now. What gives their source and line_no takes the place
-- of the comment at the end.
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT table_name, source, line_no, reason, raw, first_seen, attempts + 1, 'replayed', now64(6)
FROM masques_ops.quarantine FINAL
WHERE table_name = {table_name:String}
    AND state = 'open'
    AND (source, line_no) IN
    (
        /*lines*/
    )
