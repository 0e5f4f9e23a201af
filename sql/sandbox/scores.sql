-- The best, and the worst.
SELECT
    rank,
    identity_id,
    display_name,
    round(overall_score, 4) AS score,
    round(score_lower, 4) AS score_lower,
    round(confidence, 3) AS confidence,
    total_events AS events,
    excluded_events AS excluded
FROM masques_marts.reputation_ranking
WHERE rank <= 5 OR rank > (SELECT count() FROM masques_marts.reputation_ranking) - 3
ORDER BY rank
