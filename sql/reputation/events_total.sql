-- How many events there are.
SELECT count()
FROM masques.reputation_events
