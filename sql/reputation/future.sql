-- Scores that lie in the future, or count more events than had happened by then, inherited ones
-- among them.
SELECT s.identity_id AS identity_id, s.total_events AS scored, e.events AS happened
FROM masques.reputation_scores AS s FINAL
LEFT ANY JOIN
(
    SELECT identity_id, uniqExact(event_id) AS events
    FROM
    (
        SELECT identity_id, event_id, timestamp
        FROM masques.reputation_events
        UNION ALL
        SELECT identity_id, event_id, timestamp
        FROM masques_ops.reputation_evidence_log
        WHERE inherited_from != toUUID('00000000-0000-0000-0000-000000000000')
    )
    WHERE timestamp <= (SELECT max(computed_at) FROM masques.reputation_scores)
    GROUP BY identity_id
) AS e ON e.identity_id = s.identity_id
WHERE s.computed_at > now64(9, 'UTC') OR s.total_events > e.events
ORDER BY identity_id
LIMIT 20
