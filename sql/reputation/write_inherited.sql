-- What changed in the bad judgements that newer identities inherit from suspended ones. Sent twice it
-- writes nothing more. What counts zero for the one counts zero for the other and is not inherited.
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
        h.heir_id AS identity_id, category_code, cluster_key, timestamp, sign, reason_code,
        is_attested, delta, quality, usd, kept_share, event_id, event_type, reference_type,
        reference_id, reference_key, counterparty_id, cluster_id, l.identity_id AS inherited_from,
        sipHash128(h.heir_id, content) AS content
    FROM masques_ops.reputation_evidence_recorded AS l
    INNER JOIN masques_ops.reputation_heirs AS h ON h.suspended_id = l.identity_id
    WHERE l.identity_id IN (SELECT suspended_id FROM masques_ops.reputation_heirs)
        AND l.inherited_from = toUUID('00000000-0000-0000-0000-000000000000')
        AND l.timestamp > {oldest:DateTime64(9, 'UTC')}
        AND l.delta < 0 AND l.quality > 0 AND l.reason_code < 5
    UNION ALL
    SELECT
        identity_id, category_code, cluster_key, timestamp, -sign, reason_code, is_attested, delta,
        quality, usd, kept_share, event_id, event_type, reference_type, reference_id,
        reference_key, counterparty_id, cluster_id, l.inherited_from,
        sipHash128(l.identity_id, sipHash128(l.inherited_from, category_code, cluster_id, timestamp,
            reason_code, is_attested, delta, quality, usd, kept_share, event_id,
            toString(event_type), toString(reference_type), reference_id, counterparty_id,
            toUUID('00000000-0000-0000-0000-000000000000')))
    FROM masques_ops.reputation_evidence_log AS l
    WHERE l.inherited_from != toUUID('00000000-0000-0000-0000-000000000000')
        AND l.timestamp > {oldest:DateTime64(9, 'UTC')}
) AS w
GROUP BY content
HAVING sum(w.sign) != 0
