-- Changes and deletions of rows, which nothing of this project ever asks for but a migration: 019 gave
-- older rows their numbers, and before 022 nothing was counted.
SELECT concat(database, '.', table), toString(create_time), command
FROM system.mutations
WHERE database IN ('masques', 'masques_ops') AND match(command, '(?i)^\\(?(DELETE|UPDATE)\\b')
    AND create_time > (
        SELECT max(toDateTime(recorded_at))
        FROM masques_ops.schema_migrations
        WHERE version IN (19, 22) AND state = 'applied')
ORDER BY create_time
