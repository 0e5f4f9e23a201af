-- Who paid whom in the window, in USD, by payer cluster and by who was paid; refunds subtracted. What
-- trusted payers paid is known by identity: others of their cluster are not trusted with them.
INSERT INTO masques_ops.reputation_trade
WITH
    assumeNotNull((SELECT (m.numbers, m.lists) FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m))
        AS model,
    owners AS
    (
        SELECT
            o.account_id AS account_id,
            cityHash64(o.party_id) AS party,
            if(p.party_id = o.party_id, cityHash64(p.cluster_id), party) AS cluster,
            has(model.2['seeds'], toString(o.party_id)) AS is_seed
        FROM masques_ops.account_owners AS o
        LEFT ANY JOIN masques_ops.reputation_parties_now AS p ON p.party_id = o.party_id
        WHERE NOT has(model.2['platform_account_types'], o.account_type)
    ),
    rates AS
    (
        SELECT toString(r.currency) AS currency, quoted_at, toFloat64(argMin(usd, ingested_at)) AS usd
        FROM masques_ops.exchange_rates AS r
        GROUP BY currency, quoted_at
    ),
    moved AS
    (
        SELECT
            if(transaction_type = 'refund', credit_account_id, debit_account_id) AS payer_id,
            if(transaction_type = 'refund', debit_account_id, credit_account_id) AS payee_id,
            if(transaction_type = 'refund', -1, 1) * toFloat64(t.amount) AS units,
            toString(t.currency) AS currency,
            t.timestamp AS timestamp
        FROM masques.transactions AS t
        WHERE (has(model.2['purchase_types'], transaction_type) OR transaction_type = 'refund')
            AND event_type IN ('single_phase', 'two_phase_posted')
            AND t.timestamp > now64(9, 'UTC') - toIntervalSecond(model.1['window_days'] * 86400)
            AND t.timestamp <= now64(9, 'UTC')
    ),
    m.units * multiIf(
        m.currency = 'USD', 1.0,
        rate.currency = '' OR dateDiff('second', rate.quoted_at, m.timestamp)
            > model.1['rate_age_max_days'] * 86400, 0.0,
        rate.usd) AS paid
SELECT
    payer.cluster AS payer,
    payee.cluster AS payee,
    payee.party AS party,
    greatest(0.0, sum(paid)) AS usd,
    greatest(0.0, sumIf(paid, payer.is_seed)) AS seed_usd
FROM moved AS m
INNER JOIN owners AS payer ON payer.account_id = m.payer_id
INNER JOIN owners AS payee ON payee.account_id = m.payee_id
ASOF LEFT JOIN rates AS rate ON rate.currency = m.currency AND m.timestamp >= rate.quoted_at
WHERE payer.cluster != payee.cluster
GROUP BY payer, payee, party
