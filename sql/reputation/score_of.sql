-- The score of one identity.
SELECT
    toString(computed_at) AS computed_at, overall_score, score_lower, confidence,
    task_quality_score, economic_score, identity_hygiene_score, score_7d_ago, score_30d_ago,
    total_events, positive_events, negative_events, excluded_events, model_version
FROM masques_ops.reputation_scores_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')})
WHERE identity_id = {identity_id:UUID}
