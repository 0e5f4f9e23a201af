-- Open breaks by class; a note quiets an alert, never a total.
SELECT
    b.class AS class, any(b.severity) AS severity, any(b.owner) AS owner, count() AS breaks,
    countIf(b.state = 'open') AS without_note, countIf(b.deadline < now64(6, 'UTC')) AS overdue,
    b.currency AS currency, toString(sum(b.at_risk)) AS at_risk,
    toString(sum(b.at_risk_usd)) AS at_risk_usd, max(b.age_s) AS oldest_s,
    countIf(b.age_s < 86400) AS day, countIf(b.age_s BETWEEN 86400 AND 604799) AS week,
    countIf(b.age_s >= 604800) AS older
FROM masques_marts.breaks AS b
GROUP BY class, currency
ORDER BY any(b.severity) = 'critical' DESC, any(b.severity) = 'major' DESC, breaks DESC, class
