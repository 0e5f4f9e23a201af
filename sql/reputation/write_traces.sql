-- Which share of the income of each party comes from trusted payers, over one payment more than the hop
-- before. Money is followed, not copied: what a party passes on is at most what it got.
INSERT INTO masques_ops.reputation_traces
WITH spent AS
(
    SELECT payer, sum(t.usd) AS usd
    FROM masques_ops.reputation_trade AS t
    GROUP BY payer
)
SELECT
    {hop:UInt8},
    t.payee AS payee,
    sum(t.seed_usd + (t.usd - t.seed_usd) * before.passed) / sum(t.usd) AS share,
    share * if(any(spent.usd) > 0, least(1.0, sum(t.usd) / any(spent.usd)), 1.0) AS passed
FROM masques_ops.reputation_trade AS t
LEFT ANY JOIN (SELECT r.payee AS payee, r.passed AS passed FROM masques_ops.reputation_traces AS r WHERE r.hop = {hop:UInt8} - 1)
    AS before ON before.payee = t.payer
LEFT ANY JOIN spent ON spent.payer = t.payee
WHERE t.usd > 0
GROUP BY payee
HAVING share > 0
