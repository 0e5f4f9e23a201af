-- The newest rows, some columns of them, as text.
SELECT *
FROM {database:Identifier}.{table:Identifier}
ORDER BY {event_time:Identifier} DESC
LIMIT 5
