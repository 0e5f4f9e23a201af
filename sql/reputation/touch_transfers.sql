-- Payments that something new speaks of: the transfer itself, a refund or another payment under its
-- trace, its settlement, a rate of its currency, the owner of one of its accounts.
INSERT INTO masques_ops.reputation_touched_transfers
WITH
    assumeNotNull((SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m))
        AS model,
    strangers AS
    (
        SELECT account_id
        FROM masques.accounts
        WHERE account_id NOT IN
            (SELECT party_id FROM masques_ops.reputation_parties WHERE is_account = 1)
    ),
    rated AS
    (
        SELECT toString(r.currency) AS currency, min(quoted_at) AS since, max(quoted_at) AS until
        FROM masques_ops.exchange_rates AS r
        WHERE ingested_at >= {since:DateTime64(6, 'UTC')}
        GROUP BY currency
    )
SELECT DISTINCT transfer_id
FROM
(
    SELECT transaction_id AS transfer_id
    FROM masques.transactions
    WHERE ingested_at >= {since:DateTime64(6, 'UTC')}
    UNION ALL
    SELECT transaction_id
    FROM masques.transactions
    WHERE trace_id IN
    (
        SELECT trace_id
        FROM masques.transactions
        WHERE ingested_at >= {since:DateTime64(6, 'UTC')} AND trace_id != ''
            AND (transaction_type = 'refund' OR has(model.purchase_types, transaction_type))
    )
    UNION ALL
    SELECT ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))
    FROM masques.settlements
    WHERE settlement_id IN
    (
        SELECT settlement_id
        FROM masques.settlements
        WHERE ingested_at >= {since:DateTime64(6, 'UTC')}
    )
    UNION ALL
    SELECT t.transaction_id
    FROM masques.transactions AS t
    INNER JOIN rated AS r ON r.currency = toString(t.currency)
    WHERE t.timestamp >= r.since
        AND t.timestamp <= r.until + toIntervalSecond((model.rate_age_max_days + 1) * 86400)
    UNION ALL
    SELECT transaction_id
    FROM masques.transactions
    WHERE debit_account_id IN (SELECT account_id FROM strangers)
        OR credit_account_id IN (SELECT account_id FROM strangers)
)
