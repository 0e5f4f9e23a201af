-- What changed in how much the word of each payer cluster counts: by the fees of what it paid and by what
-- it paid to those whose income is trusted, shared among all that it pays, or one wallet could speak for
-- any number of sellers. And in what backs each identity: what it was paid, by payers that spend where the
-- average dollar is trusted as usual; by others less so. Who does not trade any more has neither.
INSERT INTO masques_ops.reputation_standing
WITH
    (SELECT m.numbers FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS n,
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
            t.payer AS voice, sum(t.trusted) / sum(t.usd) AS trusted_share,
            sum(t.credit) / (sum(t.credit) + n['standing_usd'] * count()) AS standing
        FROM trade AS t
        GROUP BY voice
    ),
    (SELECT sum(t.trusted) / sum(t.usd) FROM trade AS t) AS usual_share,
    paid AS
    (
        SELECT
            t.party AS voice,
            least(sum(t.usd), sum(t.usd * p.trusted_share) / greatest(usual_share, 1e-300)) AS backed_usd
        FROM trade AS t
        INNER JOIN payers AS p ON p.voice = t.payer
        GROUP BY voice
    )
SELECT voice, now64(6, 'UTC'), round(p.standing, 12) AS standing, round(b.backed_usd, 8) AS backed_usd
FROM payers AS p
FULL JOIN paid AS b USING (voice)
FULL JOIN masques_ops.reputation_standing_at(known_at = now64(9, 'UTC')) AS s USING (voice)
WHERE (standing, backed_usd) != (s.standing, s.backed_usd)
