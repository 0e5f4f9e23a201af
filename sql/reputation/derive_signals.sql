-- What the pipeline knows by itself of what came in and has not written yet, as reputation events. Each has
-- the id that its fact always gives it, so that it is written once.
--
-- Good signals are not attested: a kept hold is money between two parties and counts like any judgement,
-- or it would be the cheapest way to buy a score. Bad is only what the blamed side alone can do: who signed
-- a payment took the signature back. What expires, fails, is refunded or is paid twice blames nobody.
INSERT INTO masques_ops.signals_due
WITH
    {since:DateTime64(6, 'UTC')} AS since,
    (SELECT (m.numbers, m.lists) FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    now64(9, 'UTC') - toIntervalSecond((model.1['window_days'] + 30) * 86400) AS oldest,
    came_in AS (SELECT n.settlement_id FROM masques.settlements AS n WHERE n.ingested_at >= since),
    signals AS
    (
        SELECT 'hold_posted' AS event_type, t.timestamp AS timestamp, payer.party_id AS identity_id,
            0.25 AS delta, 'transaction' AS reference_type, toString(t.pending_id) AS reference_id
        FROM masques.transactions AS t
        INNER JOIN masques_ops.account_owners AS payer ON payer.account_id = t.debit_account_id
        WHERE t.ingested_at >= since AND t.timestamp > oldest
            AND t.event_type = 'two_phase_posted' AND has(model.2['purchase_types'], t.transaction_type)
        UNION ALL
        -- A deposit is paid by who gets the credit. A purchase that is paid on a rail at once is not: the
        -- ledger does not say who paid it, and it is neither to the praise nor to the blame of who sold.
        SELECT if(s.status = 'confirmed', 'payment_settled', 'settlement_failed'), s.timestamp,
            multiIf(payer.party_id != nobody, payer.party_id,
                has(model.2['purchase_types'], t.transaction_type), nobody, payee.party_id),
            if(s.status = 'confirmed', 0.25, -0.5), 'settlement', toString(s.settlement_id)
        FROM masques_ops.settlements_newest AS s
        INNER JOIN masques.transactions AS t ON t.transaction_id = s.transaction_id
        LEFT ANY JOIN masques_ops.account_owners AS payer ON payer.account_id = t.debit_account_id
        LEFT ANY JOIN masques_ops.account_owners AS payee ON payee.account_id = t.credit_account_id
        WHERE s.timestamp > oldest AND s.direction = 'in'
            AND (s.status = 'confirmed'
                OR (s.status = 'failed' AND s.failure_reason = 'authorization_canceled'))
            AND s.settlement_id IN came_in AND t.transaction_id IN
                (SELECT n.transaction_id FROM masques.settlements AS n WHERE n.settlement_id IN came_in)
        LIMIT 1 BY s.settlement_id
        UNION ALL
        -- At most one a month, or turning keys would be a way to climb.
        SELECT 'key_rotated', arrayJoin(arrayPopFront(arraySort(groupArray(seen_at)))) AS rotated_at,
            identity_id, 0.3, 'attestation', ''
        FROM masques_ops.identity_keys FINAL
        GROUP BY identity_id
        ORDER BY rotated_at
        LIMIT 1 BY identity_id, toYYYYMM(rotated_at)
    ),
    event_type = 'key_rotated' AS is_rotation,
    if(is_rotation, concat(toString(identity_id), '|', toString(toYYYYMM(timestamp))), reference_id) AS fact,
    -- uuid5 in the namespace uuid5(NAMESPACE_DNS, 'reputation.masques'), by RFC 9562.
    hex(SHA1(concat(unhex('cfe9a5677d0051e39947f47f444658dc'), event_type, '|', fact))) AS hash,
    translate(substring(hash, 17, 1), '0123456789ABCDEF', '89AB89AB89AB89AB') AS variant
SELECT
    toUUID(concat(substring(hash, 1, 12), '5', substring(hash, 14, 3), variant, substring(hash, 18, 15))) AS event_id,
    timestamp, identity_id, if(is_rotation, 'identity_hygiene', 'economic'),
    event_type, delta, 1.0, reference_type, reference_id,
    if(delta > 0 AND NOT is_rotation, map('source', 'pipeline'),
        map('source', 'pipeline', 'counterparty_id', model.2['attestors'][1])),
    'pipeline'
FROM signals
WHERE timestamp > oldest AND identity_id != nobody AND event_id NOT IN
(
    SELECT e.event_id FROM masques.reputation_events AS e
    WHERE e.channel = 'pipeline' AND e.timestamp > oldest - INTERVAL 1 DAY
)
