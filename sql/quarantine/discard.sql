-- Discards the selected entries. They stay in the table, and stay discarded when they come again.
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT table_name, source, line_no, reason, raw, first_seen, attempts, 'discarded', now64(6)
FROM
(
    /*selected*/
)
