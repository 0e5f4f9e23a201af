-- Changes and deletions of rows, which nothing of this project ever asks for.
SELECT concat(database, '.', table), toString(create_time), command
FROM system.mutations
WHERE database IN ('masques', 'masques_ops') AND match(command, '(?i)^\\(?(DELETE|UPDATE)\\b')
ORDER BY create_time
