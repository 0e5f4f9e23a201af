-- Files whose rows are not all accounted for; no row means success. The rows read are the blank,
-- loaded, duplicate and quarantined ones together, and quarantine holds each that was sent there.
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
