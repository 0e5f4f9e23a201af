-- The derived signals as rows; sent twice it writes nothing more.
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
    WHERE timestamp >= (SELECT min(timestamp) FROM masques_ops.signals_due)
        AND event_id IN (SELECT event_id FROM masques_ops.signals_due)
)
LIMIT 1 BY event_id
