-- Identities whose money goes round, with the largest share of their income in it.
SELECT identity_id, flag, max(income_share) AS share
FROM masques_marts.reputation_flags
WHERE flag IN ('ring_of_2', 'ring_of_3')
GROUP BY identity_id, flag
ORDER BY share DESC, identity_id, flag
LIMIT 20
