-- Scores that are not what their query gives for the moment that they were computed at. Sums of floats
-- depend on the order of threads, so the last digits do not count.
SELECT
    toString(identity_id) AS identity,
    multiIf(sum(side) = 1, 'is gone', sum(side) = 2, 'was never computed', 'has other content') AS finding
FROM
(
    SELECT
        identity_id,
        1 AS side,
        [overall_score, task_quality_score, economic_score, identity_hygiene_score, confidence,
            score_7d_ago, score_30d_ago, score_lower, effective_events] AS numbers,
        [total_events, positive_events, negative_events, excluded_events] AS counts,
        toString(model_version) AS model
    FROM masques_ops.reputation_scores_as_of(as_of = {as_of:DateTime64(9, 'UTC')})
    UNION ALL
    SELECT
        identity_id,
        2,
        [overall_score, task_quality_score, economic_score, identity_hygiene_score, confidence,
            score_7d_ago, score_30d_ago, score_lower, effective_events],
        [total_events, positive_events, negative_events, excluded_events],
        toString(model_version)
    FROM masques.reputation_scores FINAL
)
GROUP BY identity_id
HAVING sum(side) != 3 OR uniqExact(counts) != 1 OR uniqExact(model) != 1
    OR arrayExists((a, b) -> NOT (abs(a - b) <= 1e-9), any(numbers), anyLast(numbers))
ORDER BY identity
LIMIT {most:UInt32}
