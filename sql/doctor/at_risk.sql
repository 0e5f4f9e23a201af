-- Open breaks, those without a note, critical ones, their money in USD, and those without a rate.
SELECT
    count() AS breaks,
    countIf(b.state = 'open') AS without_note,
    countIf(b.severity = 'critical') AS critical,
    toString(toDecimal128(round(sum(ifNull(b.at_risk_usd, 0)), 2), 2)) AS usd,
    countIf(isNull(b.at_risk_usd)) AS unpriced
FROM masques_marts.breaks AS b
