-- Scores of identities that nobody reported.
SELECT identity_id, total_events
FROM masques.reputation_scores FINAL
WHERE identity_id NOT IN (SELECT identity_id FROM masques.identities)
ORDER BY total_events DESC, identity_id
LIMIT 20
