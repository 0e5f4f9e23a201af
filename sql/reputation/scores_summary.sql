-- The scores as one row.
SELECT
    count() AS identities,
    max(s.computed_at) AS computed_at,
    countIf(confidence > 0) AS with_evidence,
    sum(s.total_events) AS events,
    sum(s.excluded_events) AS excluded_events,
    any(s.model_version) AS model_version
FROM masques.reputation_scores AS s FINAL
