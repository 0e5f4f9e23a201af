-- Events that count at any moment, each once: of one part of all, or of what the statement finds that takes
-- the place of the comment. Judgements of one payment are about one identity.
INSERT INTO masques_ops.reputation_batch
SELECT
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, attributes['counterparty_id'], channel
FROM masques.reputation_events
WHERE category IN ('task_quality', 'economic', 'identity_hygiene')
    AND timestamp > {oldest:DateTime64(9, 'UTC')} AND cityHash64(identity_id) % {parts:UInt32} = {part:UInt32}
    /*found*/
ORDER BY timestamp, ingested_at
LIMIT 1 BY event_id
