-- What changed in what the touched events weigh: the old word is taken back, the new one said. Sent
-- twice it writes nothing more, and what a killed run wrote by half is made whole.
INSERT INTO masques_ops.reputation_evidence_log
(
    identity_id, category_code, cluster_key, timestamp, sign, known_from, reason_code, is_attested,
    delta, quality, usd, kept_share, event_id, event_type, reference_type, reference_id,
    reference_key, counterparty_id, cluster_id, inherited_from
)
SELECT
    any(identity_id), any(category_code), any(cluster_key), any(timestamp), sum(w.sign),
    now64(6, 'UTC'), any(reason_code), any(is_attested), any(delta), any(quality), any(usd),
    any(kept_share), any(event_id), any(event_type), any(reference_type), any(reference_id),
    any(reference_key), any(counterparty_id), any(cluster_id), any(inherited_from)
FROM
(
    SELECT
        identity_id, category_code, cluster_key, timestamp, 1 AS sign, reason_code, is_attested,
        delta, quality, usd, kept_share, event_id, event_type, reference_type, reference_id,
        reference_key, counterparty_id, cluster_id, inherited_from, content
    FROM masques_ops.reputation_evidence_current(
        part = {part:UInt32}, parts = {parts:UInt32}, everything = 0,
        oldest = toDateTime64(0, 9, 'UTC'))
    UNION ALL
    SELECT
        identity_id, category_code, cluster_key, timestamp, -sign, reason_code, is_attested,
        delta, quality, usd, kept_share, event_id, event_type, reference_type, reference_id,
        reference_key, counterparty_id, cluster_id, inherited_from, content
    FROM masques_ops.reputation_evidence_recorded
    WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
        AND inherited_from = toUUID('00000000-0000-0000-0000-000000000000')
        AND event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events)
) AS w
GROUP BY content
HAVING sum(w.sign) != 0
