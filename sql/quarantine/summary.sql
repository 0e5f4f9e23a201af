-- Counts the selected entries by table, reason and state.
SELECT
    toString(table_name) AS table_name,
    toString(reason) AS reason,
    toString(state) AS state,
    count() AS rows,
    min(first_seen) AS oldest,
    max(attempts) AS attempts
FROM
(
    /*selected*/
)
GROUP BY table_name, reason, state
ORDER BY table_name, rows DESC, reason
