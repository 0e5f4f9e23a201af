-- One part of all events that count at any moment. Judgements of one payment are about one identity.
INSERT INTO masques_ops.reputation_batch
SELECT
    event_id, timestamp, identity_id, category_code, event_type, delta, quality, reference_type,
    reference_id, reference, reported_id, channel
FROM masques_ops.reputation_events_read
WHERE timestamp > {oldest:DateTime64(9, 'UTC')} AND cityHash64(identity_id) % {parts:UInt32} = {part:UInt32}
ORDER BY timestamp, ingested_at
LIMIT 1 BY event_id
