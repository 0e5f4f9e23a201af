-- What the pipeline knows by itself and has not written yet, as reputation events. Each has the id
-- that its fact always gives it, so that it is written once.
--
-- Good signals are not the platform's word: a kept hold is money between two parties, and passes
-- the same caps, dust factor and self-dealing check as any judgement. (Signed by the platform they
-- would be the cheapest way to buy a score.) Bad ones are signed: nobody else would report them.
INSERT INTO masques_ops.signals_due
(
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, attributes, channel
)
WITH
    assumeNotNull((SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m))
        AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    toString(model.attestors[1]) AS signer,
    now64(9, 'UTC') - toIntervalSecond((model.window_days + 30) * 86400) AS oldest,
    owners AS
    (
        SELECT
            account_id,
            if(has(model.platform_account_types, account_type), nobody, party_id) AS party_id
        FROM masques_ops.account_owners
    ),
    holds AS
    (
        SELECT
            if(t.event_type = 'two_phase_posted', 'hold_posted', 'hold_expired') AS event_type,
            t.timestamp AS timestamp,
            payer.party_id AS identity_id,
            if(t.event_type = 'two_phase_posted', 0.25, -0.5) AS delta,
            'transaction' AS reference_type,
            toString(assumeNotNull(t.pending_id)) AS reference_id,
            toString(t.pending_id) AS fact
        FROM masques.transactions AS t
        INNER JOIN owners AS payer ON payer.account_id = t.debit_account_id
        WHERE t.timestamp > oldest AND t.event_type IN ('two_phase_posted', 'two_phase_expired')
            AND has(model.purchase_types, t.transaction_type)
    ),
    refunds AS
    (
        SELECT
            'refund', t.timestamp, seller.party_id, -0.1, 'transaction', toString(t.transaction_id),
            toString(t.transaction_id)
        FROM masques.transactions AS t
        INNER JOIN owners AS seller ON seller.account_id = t.debit_account_id
        WHERE t.timestamp > oldest AND t.transaction_type = 'refund'
            AND t.event_type IN ('single_phase', 'two_phase_posted')
    ),
    -- The payments behind settlements: who paid, who was paid.
    settled AS
    (
        SELECT
            s.settlement_id AS settlement_id,
            s.timestamp AS timestamp,
            s.status AS status,
            s.failure_reason AS failure_reason,
            s.transaction_id AS transaction_id,
            t.transaction_type AS transaction_type,
            payer.party_id AS payer_id,
            payee.party_id AS payee_id
        FROM masques_ops.settlements_newest AS s
        INNER JOIN
        (
            SELECT transaction_id, debit_account_id, credit_account_id, transaction_type
            FROM masques.transactions
            WHERE transaction_id IN (SELECT transaction_id FROM masques_ops.settlements_newest)
            ORDER BY timestamp DESC
            LIMIT 1 BY transaction_id
        ) AS t ON t.transaction_id = s.transaction_id
        LEFT ANY JOIN owners AS payer ON payer.account_id = t.debit_account_id
        LEFT ANY JOIN owners AS payee ON payee.account_id = t.credit_account_id
        WHERE s.timestamp > oldest AND s.transaction_id != nobody AND s.direction = 'in'
    ),
    -- Of the failures only what the payer did: a payment that reverted, expired or left the chain is
    -- technical, and what is not followed to a chain says nothing.
    settlements AS
    (
        SELECT
            if(status = 'confirmed', 'payment_settled', 'settlement_failed'),
            timestamp,
            if(payer_id != nobody, payer_id, payee_id),
            if(status = 'confirmed', 0.25, -0.5),
            'settlement',
            toString(settlement_id),
            toString(settlement_id)
        FROM settled
        WHERE status = 'confirmed'
            OR (status = 'failed'
                AND failure_reason IN ('authorization_canceled', 'paid_elsewhere'))
    ),
    double_pays AS
    (
        SELECT
            'double_pay_suspect', max(timestamp), any(payee_id), -0.2, 'transaction',
            toString(transaction_id), toString(transaction_id)
        FROM settled
        WHERE status = 'confirmed' AND has(model.purchase_types, transaction_type)
        GROUP BY transaction_id
        HAVING count() > 1
    ),
    -- At most one a month, or turning keys would be a way to climb.
    rotations AS
    (
        SELECT
            'key_rotated', min(seen_at), identity_id, 0.3, 'attestation', '',
            concat(toString(identity_id), '|', toString(toYYYYMM(seen_at)))
        FROM
        (
            SELECT
                identity_id,
                seen_at,
                row_number() OVER (PARTITION BY identity_id ORDER BY seen_at, key) AS number
            FROM masques_ops.identity_keys FINAL
        )
        WHERE number > 1 AND seen_at > oldest
        GROUP BY identity_id, toYYYYMM(seen_at)
    ),
    signals AS
    (
        SELECT * FROM holds
        UNION ALL SELECT * FROM refunds
        UNION ALL SELECT * FROM settlements
        UNION ALL SELECT * FROM double_pays
        UNION ALL SELECT * FROM rotations
    ),
    -- uuid5 in the namespace uuid5(NAMESPACE_DNS, 'reputation.masques'), by RFC 9562.
    identified AS
    (
        SELECT
            *,
            lower(hex(substring(SHA1(concat(
                unhex('cfe9a5677d0051e39947f47f444658dc'), event_type, '|', fact)), 1, 16))) AS digits,
            toUUID(concat(
                substring(digits, 1, 8), '-', substring(digits, 9, 4), '-5', substring(digits, 14, 3),
                '-', substring('89ab', 1 + bitAnd(
                    position('0123456789abcdef', substring(digits, 17, 1)) - 1, 3), 1),
                substring(digits, 18, 3), '-', substring(digits, 21, 12))) AS event_id
        FROM signals
        WHERE identity_id != nobody
    )
SELECT
    event_id,
    timestamp,
    identity_id,
    if(event_type = 'key_rotated', 'identity_hygiene', 'economic'),
    event_type,
    delta,
    1.0,
    reference_type,
    reference_id,
    if(delta > 0 AND event_type != 'key_rotated',
        map('source', 'pipeline'), map('source', 'pipeline', 'counterparty_id', signer)),
    'pipeline'
FROM identified
WHERE event_id NOT IN
(
    SELECT event_id FROM masques.reputation_events WHERE timestamp > oldest - INTERVAL 1 DAY
)
