-- How many events this run has to look at.
SELECT count()
FROM masques_ops.reputation_touched_events
