-- Which share of the income of each party is trusted. With seeds: what of it comes from them, over one
-- payment more than the hop before; money is followed, not copied, so what a party passes on is at most
-- what it got. Without: by how much it earns, beside the party where the average dollar is spent.
INSERT INTO masques_ops.reputation_traces
WITH
    (SELECT (m.numbers, m.lists) FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS model,
    spent AS (SELECT s.payer AS payer, sum(s.usd) AS usd FROM masques_ops.reputation_trade AS s GROUP BY payer),
    model.1['half_trusted'] * (
        SELECT sum(e.usd * e.usd) / sum(e.usd)
        FROM (SELECT sum(i.usd) AS usd FROM masques_ops.reputation_trade AS i GROUP BY i.payee) AS e) AS half_usd
SELECT
    {hop:UInt8},
    t.payee AS payee,
    if(empty(model.2['seeds']), sum(t.usd) / (sum(t.usd) + half_usd),
        sum(t.seed_usd + (t.usd - t.seed_usd) * before.passed) / sum(t.usd)) AS share,
    share * if(any(spent.usd) > 0, least(1.0, sum(t.usd) / any(spent.usd)), 1.0) AS passed
FROM masques_ops.reputation_trade AS t
LEFT ANY JOIN masques_ops.reputation_traces AS before ON before.payee = t.payer AND before.hop = {hop:UInt8} - 1
LEFT ANY JOIN spent ON spent.payer = t.payee
WHERE t.usd > 0
GROUP BY payee
HAVING share > 0
