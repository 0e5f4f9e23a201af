-- Rows and bad rows of the files that were read within a day, and the files that failed.
SELECT
    sum(rows_read - blank) AS rows,
    sum(quarantined) AS bad,
    countIf(state = 'failed') AS files_failed,
    count() AS files
FROM masques_ops.intake_files FINAL
WHERE folder = {folder:String} AND state IN ('loaded', 'same', 'failed')
    AND recorded_at > now() - INTERVAL 1 DAY
