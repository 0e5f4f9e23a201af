-- What lies in the landing zone and is not read, by folder and reason; no row means that all of it
-- is. Hidden files are meant not to be read. Files that were rewritten in place were read; that
-- they were is told for a day.
SELECT folder, reason, files, first
FROM
(
    SELECT
        if(f.folder = '', '(no reader)', toString(f.folder)) AS folder,
        splitByChar(':', f.problem)[1] AS reason,
        count() AS files,
        min(f.path) AS first
    FROM masques_ops.intake_files AS f FINAL
    WHERE (f.state = 'passed_over' AND NOT startsWith(f.problem, 'hidden:'))
        OR (f.state = 'loaded' AND startsWith(f.problem, 'rewritten_in_place:')
            AND f.recorded_at > now() - INTERVAL 1 DAY)
    GROUP BY f.folder, reason
    UNION ALL
    -- The journal's rail puts what it does not read into quarantine.
    SELECT
        'settlement_journal' AS folder,
        splitByChar(':', toString(reason))[1] AS reason,
        count() AS files,
        min(source) AS first
    FROM masques_ops.quarantine FINAL
    WHERE table_name = 'settlements' AND line_no = 0 AND state = 'open'
        AND startsWith(source, 'settlement_journal/')
    GROUP BY reason
)
ORDER BY folder, files DESC, reason
