-- The other judgements of the payments that the batch judges, or judged before: they share the weight.
INSERT INTO masques_ops.reputation_batch
WITH payments AS
(
    SELECT payment_id FROM masques_ops.reputation_evidence_current
    UNION ALL
    SELECT payment_id
    FROM masques_ops.reputation_evidence
    WHERE event_id IN (SELECT event_id FROM masques_ops.reputation_batch)
)
SELECT
    event_id, timestamp, identity_id, category_code, event_type, delta, quality, reference_type,
    reference_id, reference, reported_id, channel
FROM masques_ops.reputation_events_read
WHERE timestamp > {oldest:DateTime64(9, 'UTC')}
    AND event_id NOT IN (SELECT event_id FROM masques_ops.reputation_batch)
    AND event_id IN
    (
        SELECT event_id
        FROM masques_ops.reputation_evidence
        WHERE payment_id != toUUID('00000000-0000-0000-0000-000000000000')
            AND payment_id IN (SELECT payment_id FROM payments)
    )
ORDER BY timestamp, ingested_at
LIMIT 1 BY event_id
