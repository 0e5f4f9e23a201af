-- Who paid whom in the window, in USD, by payer cluster and by who was paid; refunds subtracted. What
-- trusted payers paid is known by identity: others of their cluster are not trusted with them.
INSERT INTO masques_ops.reputation_trade
WITH
    (SELECT (m.numbers, m.lists) FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS model,
    owners AS
    (
        SELECT
            o.account_id AS account_id, o.party_id AS party_id,
            cityHash64(if(k.party_id = o.party_id, k.cluster_id, o.party_id)) AS cluster
        FROM masques_ops.account_owners AS o
        LEFT ANY JOIN masques_ops.payer_clusters AS k ON k.party_id = o.party_id
        WHERE o.party_id != toUUID('00000000-0000-0000-0000-000000000000')
    ),
    moved AS
    (
        SELECT
            transaction_type = 'refund' AS is_refund, timestamp, toString(currency) AS currency,
            if(is_refund, credit_account_id, debit_account_id) AS payer_id,
            if(is_refund, debit_account_id, credit_account_id) AS payee_id,
            if(is_refund, -1, 1) * toFloat64(amount) AS units
        FROM masques.transactions
        WHERE (has(model.2['purchase_types'], transaction_type) OR is_refund)
            AND event_type IN ('single_phase', 'two_phase_posted')
            AND timestamp > now64(9, 'UTC') - toIntervalSecond(model.1['window_days'] * 86400)
            AND timestamp <= now64(9, 'UTC')
    ),
    if(dateDiff('second', rate.quoted_at, m.timestamp) <= rate.holds_s, m.units * rate.usd, 0.0) AS paid
SELECT
    payer.cluster AS payer,
    payee.cluster AS payee,
    cityHash64(payee.party_id) AS party,
    greatest(0.0, sum(paid)) AS usd,
    greatest(0.0, sumIf(paid, has(model.2['seeds'], toString(payer.party_id)))) AS seed_usd
FROM moved AS m
INNER JOIN owners AS payer ON payer.account_id = m.payer_id
INNER JOIN owners AS payee ON payee.account_id = m.payee_id
ASOF LEFT JOIN masques_ops.reputation_rates(known_at = now64(9, 'UTC')) AS rate
    ON rate.currency = m.currency AND m.timestamp >= rate.quoted_at
WHERE payer.cluster != payee.cluster
GROUP BY payer, payee, party
