-- The other judgements of the payments that the batch judges, or judged before: they share the weight.
SELECT event_id
FROM masques_ops.reputation_evidence
WHERE payment_id != toUUID('00000000-0000-0000-0000-000000000000')
    AND payment_id IN
    (
        SELECT payment_id FROM masques_ops.reputation_evidence_current(known_at = now64(9, 'UTC'))
        UNION ALL
        SELECT payment_id
        FROM masques_ops.reputation_evidence
        WHERE event_id IN (SELECT event_id FROM masques_ops.reputation_batch)
    )
    AND event_id NOT IN (SELECT event_id FROM masques_ops.reputation_batch)
