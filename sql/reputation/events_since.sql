-- How many events came in since a time.
SELECT count()
FROM masques.reputation_events
WHERE ingested_at >= {since:DateTime64(6, 'UTC')}
