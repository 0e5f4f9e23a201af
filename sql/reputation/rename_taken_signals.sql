-- Anyone can compute the id of a signal beforehand. One whose id an event of a producer has already is due
-- under another id, unless it was written like that before: its fact then is there as the pipeline's.
INSERT INTO masques_ops.signals_due
SELECT * REPLACE (generateUUIDv4() AS event_id)
FROM masques_ops.signals_due AS due
WHERE due.event_id IN (SELECT event_id FROM masques_ops.signals_written WHERE channel != 'pipeline')
    AND (due.timestamp, due.identity_id, due.event_type, due.reference_id) NOT IN
    (
        SELECT timestamp, identity_id, event_type, reference_id
        FROM masques.reputation_events
        WHERE channel = 'pipeline' AND timestamp IN (SELECT timestamp FROM masques_ops.signals_due)
    )
