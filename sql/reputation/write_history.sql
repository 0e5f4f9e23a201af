-- The day's scores. A later run of the same day replaces them; sent twice it changes nothing.
INSERT INTO masques_ops.reputation_scores_history
SELECT
    toDate(s.computed_at), identity_id, s.computed_at, overall_score, task_quality_score,
    economic_score, identity_hygiene_score, confidence, score_lower, effective_events, total_events,
    excluded_events, model_version
FROM masques.reputation_scores AS s FINAL
