-- New events, and those older ones whose reference, or who is who in them, changed since a run looked
-- at such changes to the end.
INSERT INTO masques_ops.reputation_touched_events
WITH changed AS
(
    SELECT party_id
    FROM masques_ops.reputation_parties
    WHERE is_account = 0 AND known_from >= {changed_since:DateTime64(6, 'UTC')}
)
SELECT DISTINCT event_id
FROM
(
    SELECT event_id
    FROM masques.reputation_events
    WHERE ingested_at >= {since:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT event_id
    FROM masques_ops.reputation_evidence_log
    WHERE reference_key IN
    (
        SELECT reference_key
        FROM masques_ops.reputation_references
        WHERE known_from >= {changed_since:DateTime64(6, 'UTC')}
    )
    UNION ALL
    SELECT event_id
    FROM masques_ops.reputation_evidence_log
    WHERE identity_id IN (SELECT party_id FROM changed)
        OR counterparty_id IN (SELECT party_id FROM changed)
)
