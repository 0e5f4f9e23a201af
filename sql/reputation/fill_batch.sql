-- One part of all events that count at any moment. Judgements of one payment are about one identity.
INSERT INTO masques_ops.reputation_batch
SELECT
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, attributes['counterparty_id'], channel
FROM masques.reputation_events
WHERE timestamp > {oldest:DateTime64(9, 'UTC')} AND cityHash64(identity_id) % {parts:UInt32} = {part:UInt32}
    AND category IN ('task_quality', 'economic', 'identity_hygiene')
ORDER BY timestamp, ingested_at
LIMIT 1 BY event_id
