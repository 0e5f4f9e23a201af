-- Scores that moved by more than a limit since the day before that has any.
WITH
    (SELECT toDate(max(computed_at)) FROM masques.reputation_scores) AS today,
    (SELECT max(day) FROM masques_ops.reputation_scores_history WHERE day < today) AS before
SELECT s.identity_id AS identity_id, h.overall_score AS was, s.overall_score AS is_now, h.day AS day
FROM masques.reputation_scores AS s FINAL
INNER JOIN masques_ops.reputation_scores_history AS h FINAL ON h.identity_id = s.identity_id
WHERE h.day = before AND abs(is_now - was) > {limit:Float64}
ORDER BY abs(is_now - was) DESC, identity_id
LIMIT 20
