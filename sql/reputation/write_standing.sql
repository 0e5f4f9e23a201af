-- What changed in how much the word of each payer cluster counts: by the fees of what it paid and by what
-- it paid to those whose income is trusted, shared among all that it pays, or one wallet could speak for
-- any number of sellers. And in what backs each identity: what it was paid, by payers that spend where the
-- average dollar is trusted as usual; by others less so.
INSERT INTO masques_ops.reputation_standing
WITH
    assumeNotNull((SELECT m.numbers FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS n,
    trade AS
    (
        SELECT
            t.payer AS payer, t.party AS party, t.usd AS usd,
            greatest(t.seed_usd, t.usd * r.share) AS trusted,
            greatest(t.seed_usd, t.usd * (n['fee_share'] * n['weight_fees'] + r.share)) AS credit
        FROM masques_ops.reputation_trade AS t
        LEFT ANY JOIN masques_ops.reputation_traces AS r ON r.payee = t.payee AND r.hop = n['trace_hops']
        WHERE t.usd > 0
    ),
    payers AS
    (
        SELECT
            p.payer AS payer, sum(p.trusted) / sum(p.usd) AS trusted_share,
            sum(p.credit) / (sum(p.credit) + n['standing_usd'] * count()) AS standing
        FROM trade AS p
        GROUP BY payer
    ),
    (SELECT sum(l.trusted) / sum(l.usd) FROM trade AS l) AS usual_share
SELECT
    voice,
    now64(6, 'UTC'),
    round(sum(w.standing), 12) AS standing,
    round(sum(w.backed_usd), 8) AS backed_usd
FROM
(
    SELECT p.payer AS voice, p.standing AS standing, 0.0 AS backed_usd
    FROM payers AS p
    UNION ALL
    SELECT b.party, 0.0, least(sum(b.usd), sum(b.usd * p.trusted_share) / greatest(usual_share, 1e-300))
    FROM trade AS b
    INNER JOIN payers AS p ON p.payer = b.payer
    GROUP BY b.party
    UNION ALL
    -- Who does not trade any more.
    SELECT DISTINCT s.voice, 0.0, 0.0
    FROM masques_ops.reputation_standing AS s
) AS w
GROUP BY voice
HAVING (voice, standing, backed_usd) NOT IN
    (SELECT s.voice, s.standing, s.backed_usd FROM masques_ops.reputation_standing_at(known_at = now64(9, 'UTC')) AS s)
    AND (standing > 0 OR backed_usd > 0 OR voice IN (SELECT h.voice FROM masques_ops.reputation_standing AS h))
