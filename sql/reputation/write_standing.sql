-- What changed in how much the word of each payer cluster counts: by the fees of what it paid, by what it
-- paid to those whose income comes from trusted payers, and by what it earned from them; shared among all
-- that it trades with, or one wallet could speak for any number of sellers.
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
        SELECT t.payer AS voice, 1 AS partners,
            greatest(t.seed_usd, t.usd * (n['fee_share'] * n['weight_fees'] + r.share)) AS usd
        FROM masques_ops.reputation_trade AS t
        LEFT ANY JOIN traces AS r ON r.payee = t.payee
        WHERE t.usd > 0
        UNION ALL
        SELECT t.payee, 1, t.usd * r.share
        FROM masques_ops.reputation_trade AS t
        LEFT ANY JOIN traces AS r ON r.payee = t.payee
        WHERE t.usd > 0
        UNION ALL
        -- Who does not trade any more.
        SELECT s.voice, 0, 0.0
        FROM masques_ops.reputation_standing AS s
    )
SELECT
    voice,
    now64(6, 'UTC'),
    round(sum(l.usd) / (sum(l.usd) + n['standing_usd'] * greatest(1, sum(l.partners))), 12) AS standing
FROM lost AS l
GROUP BY voice
HAVING (voice, standing) NOT IN
    (SELECT h.voice, argMax(h.standing, h.known_from) FROM masques_ops.reputation_standing AS h GROUP BY h.voice)
    AND (standing > 0 OR voice IN (SELECT h.voice FROM masques_ops.reputation_standing AS h))
