-- Puts rows into quarantine. What gives source, line_no, reason and raw takes the place of the first
-- comment below. An entry that is there already keeps when it was first seen and counts one more
-- attempt; a discarded one stays discarded, any other is open (again).
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT
    {table_name:String},
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
    /*rows*/
) AS r
LEFT JOIN
(
    SELECT source, line_no, first_seen, attempts, state
    FROM masques_ops.quarantine FINAL
    WHERE table_name = {table_name:String} AND source IN {sources:Array(String)}
) AS q ON q.source = r.source AND q.line_no = r.line_no
