-- Confirmed payments of zero or less, and revisions that exist twice with different content.
SELECT settlement_id, revision, min(s.amount) AS smallest, count() AS rows
FROM masques.settlements AS s
GROUP BY settlement_id, revision
HAVING (min(s.amount) <= 0 AND any(s.status) = 'confirmed')
    OR min(s.amount) < 0
    OR uniqExact(s.status, s.amount, s.tx_hash, s.block_hash, s.recorded_at) > 1
LIMIT 100
