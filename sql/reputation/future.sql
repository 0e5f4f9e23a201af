-- Scores that lie in the future, or count more events than had happened by then.
SELECT s.identity_id AS identity_id, s.total_events AS scored, e.events AS happened
FROM masques.reputation_scores AS s FINAL
LEFT ANY JOIN
(
    SELECT identity_id, uniqExact(event_id) AS events
    FROM masques.reputation_events
    WHERE timestamp <= (SELECT max(computed_at) FROM masques.reputation_scores)
    GROUP BY identity_id
) AS e ON e.identity_id = s.identity_id
WHERE s.computed_at > now64(9, 'UTC') OR s.total_events > e.events
ORDER BY identity_id
LIMIT 20
