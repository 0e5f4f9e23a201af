-- Confirmed payments of nothing, and revisions that are there twice with different content.
SELECT settlement_id, revision, min(amount) AS amount, count() AS rows
FROM masques.settlements
GROUP BY settlement_id, revision
HAVING (min(amount) <= 0 AND any(status) = 'confirmed')
    OR min(amount) < 0
    OR uniqExact(status, amount, tx_hash, block_hash, recorded_at) > 1
LIMIT 100
