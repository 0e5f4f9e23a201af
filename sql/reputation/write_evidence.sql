-- What changed in what the events of the batch weigh: the old row is cancelled, the new one appended. Of
-- everything, events that are gone too. Sent twice it writes nothing more, and what a killed run wrote by
-- half is completed.
INSERT INTO masques_ops.reputation_evidence
(
    identity_id, category_code, voice, timestamp, reason_code, delta, weight, usd, event_id, event_type,
    reference_type, reference_id, reference_key, payment_id, counterparty_id, cluster_id, sign, known_from
)
SELECT
    identity_id, category_code, voice, timestamp, reason_code, delta, weight, usd, event_id, event_type,
    reference_type, reference_id, reference_key, payment_id, counterparty_id, cluster_id,
    sum(w.change) AS sign, now64(6, 'UTC')
FROM
(
    SELECT
        identity_id, category_code, voice, timestamp, reason_code, delta, weight, usd, event_id,
        event_type, reference_type, reference_id, reference_key, payment_id, counterparty_id, cluster_id,
        1 AS change
    FROM masques_ops.reputation_evidence_current
    UNION ALL
    SELECT
        identity_id, category_code, voice, timestamp, reason_code, delta, weight, usd, event_id,
        event_type, reference_type, reference_id, reference_key, payment_id,
        counterparty_id, cluster_id, -sign
    FROM masques_ops.reputation_evidence
    WHERE timestamp > {oldest:DateTime64(9, 'UTC')}
        AND if({everything:UInt8} = 1, cityHash64(identity_id) % {parts:UInt32} = {part:UInt32},
            event_id IN (SELECT event_id FROM masques_ops.reputation_batch))
) AS w
GROUP BY
    identity_id, category_code, voice, timestamp, reason_code, delta, weight, usd, event_id, event_type,
    reference_type, reference_id, reference_key, payment_id, counterparty_id, cluster_id
HAVING sign != 0
