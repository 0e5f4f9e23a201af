-- Conflicts of the batch, and whole files that cannot be read (line 0), into quarantine. A row that
-- is there already keeps when it was first seen; one that was discarded stays discarded.
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT
    r.table_name,
    r.source,
    r.line_no,
    r.reason,
    r.raw,
    if(q.attempts > 0, q.first_seen, now64(3)),
    q.attempts + 1,
    if(q.state = 'discarded', 'discarded', 'open'),
    now64(6)
FROM
(
    SELECT table_name, source, line_no, reason, raw
    FROM input('table_name String, source String, line_no UInt64, reason String, raw String')
) AS r
LEFT JOIN
(
    SELECT table_name, source, line_no, first_seen, attempts, state
    FROM masques_ops.quarantine FINAL
) AS q ON q.table_name = r.table_name AND q.source = r.source AND q.line_no = r.line_no
