-- The derived signals as rows; sent twice it writes nothing more. An id that is taken is left out, and with
-- days that have lost rows, all but what was written once on these.
INSERT INTO masques.reputation_events
(
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, attributes, channel
)
SELECT
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, attributes, channel
FROM masques_ops.signals_due
WHERE event_id NOT IN
    (
        SELECT event_id
        FROM masques.reputation_events
        WHERE event_id IN (SELECT event_id FROM masques_ops.signals_due)
            AND timestamp IN
            (
                SELECT event_at
                FROM masques_ops.reputation_events_key_times
                WHERE row_key IN (SELECT event_id FROM masques_ops.signals_due)
            )
    )
    AND
    (
        empty({lost:Array(String)})
        OR
        (
            has({lost:Array(String)}, toString(toDate(timestamp)))
            AND event_id IN
            (
                SELECT row_key
                FROM masques_ops.reputation_events_key_times
                WHERE row_key IN (SELECT event_id FROM masques_ops.signals_due)
            )
        )
    )
LIMIT 1 BY event_id
