-- Open breaks, the worst first.
SELECT
    toString(b.item_id) AS item_id, b.leg AS leg, b.class AS class, b.severity AS severity,
    b.owner AS owner, b.state AS state, toString(b.opened_at) AS opened_at,
    toString(b.deadline) AS deadline, b.age_s AS age_s, toString(b.at_risk) AS at_risk,
    b.currency AS currency, toString(b.at_risk_usd) AS at_risk_usd, b.reason AS reason,
    b.what_to_do AS what_to_do, b.suggestion AS suggestion, b.note AS note, b.said_by AS said_by,
    toString(b.at) AS at
FROM masques_marts.breaks AS b
WHERE ({class:String} = '' OR b.class = {class:String})
    AND ({owner:String} = '' OR b.owner = {owner:String})
    AND ({state:String} = '' OR b.state = {state:String})
    AND ({item_id:String} = '' OR b.item_id = toUUIDOrZero({item_id:String}))
ORDER BY
    b.severity = 'critical' DESC, b.severity = 'major' DESC, ifNull(b.at_risk_usd, b.at_risk) DESC,
    b.at, b.item_id
