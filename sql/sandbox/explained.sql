-- The first by rank: its largest effects, the rest in one row, and the sum.
WITH
    (
        SELECT argMax(identity_id, (score_lower, identity_id)) FROM masques.reputation_scores
    ) AS chosen,
    effects AS
    (
        SELECT
            row_number() OVER (ORDER BY abs(effect) DESC, timestamp, event_id) AS number, *
        FROM masques_marts.reputation_contributions
        WHERE identity_id = chosen
    )
SELECT *
FROM
(
    SELECT
        if(number <= 6, toString(number), 'rest') AS event,
        if(event = 'rest', concat(toString(count()), ' events'), any(event_type)) AS event_type,
        if(event = 'rest', '', any(reason)) AS reason,
        if(event = 'rest', '', substring(toString(any(cluster_id)), 1, 8)) AS payer_cluster,
        if(event = 'rest', NULL, round(any(weight), 3)) AS weight,
        if(event = 'rest', NULL, round(any(counted_share), 3)) AS counted,
        round(sum(effect), 5) AS effect
    FROM effects
    GROUP BY event
    UNION ALL
    SELECT 'sum', 'prior 0.5 + effects', '', '', NULL, NULL, round(0.5 + sum(effect), 5)
    FROM effects
)
ORDER BY event
