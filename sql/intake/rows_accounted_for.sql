-- Files whose rows are not all accounted for: read is blank, loaded, duplicates and quarantined
-- together, and quarantine holds each row that was sent there. No row: all is well.
SELECT
    f.source,
    f.rows_read,
    f.blank,
    f.loaded,
    f.duplicates,
    f.quarantined,
    q.rows AS in_quarantine
FROM masques_ops.intake_files AS f FINAL
LEFT JOIN
(
    SELECT source, count() AS rows
    FROM masques_ops.quarantine FINAL
    WHERE table_name = {folder:String} AND line_no > 0
    GROUP BY source
) AS q ON q.source = f.source
WHERE f.folder = {folder:String}
    AND
    (
        f.rows_read != f.blank + f.loaded + f.duplicates + f.quarantined
        OR q.rows < f.quarantined
    )
ORDER BY f.source
LIMIT 20
