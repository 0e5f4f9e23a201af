-- Files of the landing zone by table, and what became of their rows.
SELECT
    folder AS table,
    count() AS files,
    sum(f.rows_read) AS rows,
    sum(f.loaded) AS loaded,
    sum(f.duplicates) AS duplicates,
    sum(f.quarantined) AS quarantined
FROM masques_ops.intake_files AS f FINAL
WHERE f.state IN ('loaded', 'same', 'failed')
GROUP BY folder
ORDER BY folder
