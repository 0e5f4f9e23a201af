-- The moment of the newest scores, and now.
SELECT
    toString(max(computed_at)) AS computed_at, toString(now64(9, 'UTC')) AS now, count() AS scores
FROM masques.reputation_scores
