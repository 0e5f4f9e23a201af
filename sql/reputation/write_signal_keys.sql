-- The keys of the signals that are about to be written, where the intake looks for what is loaded: an
-- event of a file with the id of a signal is then a duplicate of it, or a conflict. A kill after this
-- leaves keys without rows, which the next run writes; a key that is written twice does no harm.
INSERT INTO masques_ops.reputation_events_key_times (row_key, event_at)
SELECT event_id, timestamp FROM masques_ops.signals_due
