-- The keys of the pipeline's own signals, where the intake looks for what is loaded: an event of a
-- file with the id of a signal is then a duplicate of it, or a conflict. Sent twice it writes nothing
-- more; keys that a killed run left out are written by the next one.
INSERT INTO masques_ops.reputation_events_key_times (row_key, event_at)
SELECT event_id, timestamp
FROM masques.reputation_events
WHERE channel = 'pipeline'
    AND event_id NOT IN
    (
        SELECT row_key
        FROM masques_ops.reputation_events_key_times
        WHERE row_key IN (SELECT event_id FROM masques.reputation_events WHERE channel = 'pipeline')
    )
