-- Open breaks by class and currency; a note quiets an alert, never a total. unnoted_* are of those without one.
WITH
    now64(6, 'UTC') AS now,
    (
        SELECT argMax(read_to['ledger'], began_at) FROM masques_ops.reconciliation_runs
        WHERE ended_at > toDateTime64(0, 6, 'UTC') AND ended_at <= now64(6, 'UTC')
    ) AS read_to
SELECT
    g.class AS class, c.severity AS severity, c.owner AS owner, length(g.opened) AS breaks, g.without_note AS without_note,
    arrayCount(at -> at + toIntervalHour(c.hours) < now, g.opened) AS overdue, g.currency AS currency,
    toString(g.at_risk) AS at_risk, toString(multiplyDecimal(g.at_risk, r.usd, 18)) AS at_risk_usd,
    toString(multiplyDecimal(g.unnoted_risk, r.usd, 18)) AS unnoted_usd,
    if(g.without_note = 0, 0, intDiv(greatest(dateDiff('second', g.unnoted_since, now), 0), 3600)) AS unnoted_hours,
    arrayMax(g.ages) AS oldest_s, arrayCount(age -> age < 86400, g.ages) AS day,
    arrayCount(age -> age BETWEEN 86400 AND 604799, g.ages) AS week,
    arrayCount(age -> age >= 604800, g.ages) AS older
FROM
(
    SELECT
        b.class AS class, b.currency AS currency, countIf(b.state = 'open') AS without_note,
        sum(b.at_risk) AS at_risk, sumIf(b.at_risk, b.state = 'open') AS unnoted_risk,
        minIf(b.opened_at, b.state = 'open') AS unnoted_since, groupArray(b.opened_at) AS opened,
        groupArray(toUInt64(greatest(ifNull(dateDiff('second', b.at, read_to), 0), 0))) AS ages
    FROM masques_ops.breaks_open_at(as_of = now64(6, 'UTC')) AS b
    GROUP BY class, currency
) AS g
LEFT JOIN masques_marts.break_classes AS c ON c.class = g.class
LEFT JOIN (SELECT asset, usd FROM masques_ops.usd_rates_at(as_of = now64(6, 'UTC'))) AS r ON r.asset = g.currency
ORDER BY severity = 'critical' DESC, severity = 'major' DESC, breaks DESC, class
