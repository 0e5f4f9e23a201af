-- Scores that are no number from 0 to 1.
SELECT identity_id, overall_score, score_lower, confidence, score_7d_ago, score_30d_ago
FROM masques.reputation_scores FINAL
WHERE arrayExists(x -> isNaN(x) OR x < 0 OR x > 1, [overall_score, task_quality_score,
    economic_score, identity_hygiene_score, confidence, score_7d_ago, score_30d_ago, score_lower])
    OR score_lower > overall_score
ORDER BY identity_id
LIMIT 20
