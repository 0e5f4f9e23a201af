-- What changed in how much the word of each payer cluster counts: by the fees of what it paid, by what it
-- paid to those whose income comes from trusted payers, and by what it earned from them.
INSERT INTO masques_ops.reputation_standing
WITH
    assumeNotNull((SELECT m.numbers FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS n,
    traces AS
    (
        SELECT r.payee AS payee, r.share AS share
        FROM masques_ops.reputation_traces AS r
        WHERE r.hop = n['trace_hops']
    ),
    lost AS
    (
        SELECT t.payer AS voice, t.usd AS paid, t.seed_usd AS seed_usd,
            t.usd * (n['fee_share'] + r.share) AS usd
        FROM masques_ops.reputation_trade AS t
        LEFT ANY JOIN traces AS r ON r.payee = t.payee
        UNION ALL
        SELECT t.payee, 0.0, 0.0, t.usd * r.share
        FROM masques_ops.reputation_trade AS t
        INNER JOIN traces AS r ON r.payee = t.payee
        UNION ALL
        -- Who does not trade any more.
        SELECT s.voice, 0.0, 0.0, 0.0
        FROM masques_ops.reputation_standing AS s
    )
SELECT
    voice,
    now64(6, 'UTC'),
    round(greatest(
        sum(l.usd) / (sum(l.usd) + n['standing_usd']),
        if(sum(l.paid) > 0, sum(l.seed_usd) / sum(l.paid), 0.0)), 12) AS standing
FROM lost AS l
GROUP BY voice
HAVING (voice, standing) NOT IN
    (SELECT h.voice, argMax(h.standing, h.known_from) FROM masques_ops.reputation_standing AS h GROUP BY h.voice)
    AND (standing > 0 OR voice IN (SELECT h.voice FROM masques_ops.reputation_standing AS h))
