-- Parts that the engine put aside, with rows that no query sees. What is being attached, deleted or fetched
-- passes by itself.
SELECT concat(database, '.', table), name, if(reason = '', 'detached by hand', reason)
FROM system.detached_parts
WHERE database IN ('masques', 'masques_ops') AND NOT match(reason, '^(attaching|deleting|tmp-fetch)')
ORDER BY ALL
