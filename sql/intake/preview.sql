-- The newest rows, some columns of them, as text.
SELECT *
FROM masques.{table:Identifier}
ORDER BY {event_time:Identifier} DESC
LIMIT 5
