-- Identities that were known when the scores were made and have none.
SELECT DISTINCT identity_id
FROM masques.identities
WHERE ingested_at < (SELECT max(computed_at) FROM masques.reputation_scores)
    AND created_at <= (SELECT max(computed_at) FROM masques.reputation_scores)
    AND identity_id NOT IN (SELECT identity_id FROM masques.reputation_scores)
ORDER BY identity_id
LIMIT 20
