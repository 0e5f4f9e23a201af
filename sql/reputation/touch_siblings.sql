-- The other judgements of the payments that the batch judges, or judged before: they share the weight.
INSERT INTO masques_ops.reputation_batch
WITH payments AS
(
    SELECT payment_id FROM masques_ops.reputation_evidence_current(known_at = now64(9, 'UTC'))
    UNION ALL
    SELECT payment_id
    FROM masques_ops.reputation_evidence
    WHERE event_id IN (SELECT event_id FROM masques_ops.reputation_batch)
)
SELECT
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, attributes['counterparty_id'], channel
FROM masques.reputation_events
WHERE category IN ('task_quality', 'economic', 'identity_hygiene')
    AND timestamp > {oldest:DateTime64(9, 'UTC')}
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
