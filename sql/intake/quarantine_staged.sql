-- The bad rows of the batch into quarantine. A row that is there already keeps when it was first
-- seen; one that was discarded stays discarded.
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT
    {table_name:String},
    s.source,
    s.line_no,
    s.reason,
    s.raw,
    if(q.attempts > 0, q.first_seen, now64(3)),
    q.attempts + 1,
    if(q.state = 'discarded', 'discarded', 'open'),
    now64(6)
FROM masques_ops.{staged:Identifier} AS s
LEFT JOIN
(
    SELECT source, line_no, first_seen, attempts, state
    FROM masques_ops.quarantine FINAL
    WHERE table_name = {table_name:String}
        AND source IN (SELECT source FROM masques_ops.{staged:Identifier})
) AS q ON q.source = s.source AND q.line_no = s.line_no
WHERE s.reason NOT IN ('', 'blank')
