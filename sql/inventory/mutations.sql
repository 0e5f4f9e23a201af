-- Changes and deletions of rows, but for those of numbered files (019), and of what the intake forgets of its
-- own record after a year. Nothing else of this project asks for any.
SELECT concat(database, '.', table) AS name, toString(create_time), command
FROM system.mutations
WHERE database IN ('masques', 'masques_ops') AND match(command, '(?i)^\\(?(DELETE|UPDATE)\\b')
    AND name NOT IN ('masques_ops.quarantine', 'masques_ops.intake_files')
    AND NOT match(command, '^\\(?UPDATE (chart_version|resource_code) = ')
    AND (name, create_time) NOT IN
    (
        SELECT concat(m.database, '.', m.table), m.create_time
        FROM system.mutations AS m
        INNER JOIN
        (
            SELECT table_name, max(accepted_at) AS until
            FROM masques_ops.inventory_accepted
            GROUP BY table_name
        ) AS a ON a.table_name = concat(m.database, '.', m.table)
        WHERE m.create_time <= a.until
    )
ORDER BY create_time
