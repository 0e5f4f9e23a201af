-- Reputation, step 1 of 2: what each event of masques_ops.reputation_batch weighs, as known now.

CREATE OR REPLACE VIEW masques_ops.reputation_model AS
SELECT m.model_version AS model_version, m.numbers AS numbers, m.lists AS lists
FROM masques_ops.reputation_model_versions AS m
WHERE m.loaded_at <= {known_at:DateTime64(9, 'UTC')}
ORDER BY m.loaded_at DESC, m.model_version DESC
LIMIT 1
COMMENT 'The reputation model in force at a moment. Parameters: known_at - the moment. Columns: model_version - name of the version; numbers, lists - its parameters by name.';

-- Whose each account is. An account's owner and type never change in the ledger.
CREATE OR REPLACE VIEW masques_ops.account_owners
(
    account_id UUID COMMENT 'the ledger account',
    party_id UUID COMMENT 'the identity that owns it, the account when nobody does, zero for the platform'
)
AS
WITH
    (SELECT m.lists FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS lists,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody
SELECT
    account_id,
    multiIf(has(lists['platform_account_types'], any(account_type)), nobody,
        any(identity_id) = nobody, account_id, any(identity_id)) AS party_id
FROM masques.accounts
GROUP BY account_id
COMMENT 'Who owns each ledger account. The platform is nobody: no payer, funder or counterparty.';

-- What currencies were worth. A rate holds until the next, and not longer than the model says.
CREATE OR REPLACE VIEW masques_ops.reputation_rates AS
WITH (SELECT m.numbers FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m) AS n
SELECT
    toString(r.currency) AS currency, r.quoted_at AS quoted_at, n['rate_age_max_days'] * 86400 AS holds_s,
    toFloat64(argMin(r.usd, r.ingested_at)) AS usd
FROM masques_ops.exchange_rates AS r
WHERE r.currency != 'USD'
GROUP BY currency, quoted_at
UNION ALL
SELECT 'USD', toDateTime64(0, 9, 'UTC'), inf, 1.0
COMMENT 'What a unit of each currency was worth. Parameters: known_at - the model in force then. Columns: currency - the currency; quoted_at - from when on; holds_s - for so many seconds at most; usd - USD for one whole unit.';

CREATE OR REPLACE VIEW masques_ops.reputation_links
(
    kind String COMMENT 'session, request, settlement or transaction',
    id UUID COMMENT 'id of the thing referred to',
    payment_id UUID COMMENT 'the payment that the reference leads to, or its hold; else zero',
    payer_id UUID COMMENT 'who wore the masque or asked; zero when unknown',
    payee_id UUID COMMENT 'who is paid for the masque; zero when unknown',
    status String COMMENT 'of a settlement'
)
AS
WITH toUUID('00000000-0000-0000-0000-000000000000') AS nobody
SELECT
    'session' AS kind, s.session_id AS id, max(ifNull(s.transaction_id, nobody)) AS payment_id,
    max(s.identity_id) AS payer_id, max(s.author_id) AS payee_id, '' AS status
FROM masques.masque_sessions AS s
WHERE s.session_id IN (SELECT b.reference FROM masques_ops.reputation_batch AS b WHERE b.reference_type = 'session')
GROUP BY s.session_id
UNION ALL
SELECT 'request', r.request_id, max(ifNull(r.transaction_id, nobody)), max(r.identity_id), nobody, ''
FROM masques.api_requests AS r
WHERE r.request_id IN (SELECT b.reference FROM masques_ops.reputation_batch AS b WHERE b.reference_type = 'request')
GROUP BY r.request_id
UNION ALL
SELECT 'settlement', n.settlement_id, n.transaction_id, nobody, nobody, n.status
FROM masques_ops.settlements_newest AS n
WHERE n.settlement_id IN (SELECT b.reference FROM masques_ops.reputation_batch AS b WHERE b.reference_type = 'settlement')
UNION ALL
SELECT DISTINCT 'transaction', b.reference, b.reference, nobody, nobody, ''
FROM masques_ops.reputation_batch AS b
WHERE b.reference_type = 'transaction' AND b.reference != nobody
COMMENT 'Where the references of the batch lead.';

-- The posted payments of the batch, by their own id and by that of the hold that they posted. What was
-- given back is known by masques_ops.payment_links; else a refund goes to the account that paid, under
-- the same trace, and payments of one trace share it. A payment whose settlement failed on its rail, and
-- has no other that is confirmed, is failed.
CREATE OR REPLACE VIEW masques_ops.reputation_payments AS
WITH
    (SELECT m.lists FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m) AS lists,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    wanted AS (SELECT l.payment_id AS id FROM masques_ops.reputation_links AS l WHERE l.payment_id != nobody),
    posted AS
    (
        SELECT
            t.transaction_id AS transaction_id, ifNull(t.pending_id, nobody) AS hold_id,
            t.timestamp AS timestamp, t.debit_account_id AS debit_account_id,
            t.credit_account_id AS credit_account_id, toFloat64(t.amount) AS amount,
            toString(t.currency) AS currency, (debit_account_id, t.trace_id, currency) AS under_trace
        FROM masques.transactions AS t
        WHERE has(lists['purchase_types'], t.transaction_type)
            AND t.event_type IN ('single_phase', 'two_phase_posted')
            AND (t.transaction_id IN wanted OR ifNull(t.pending_id, nobody) IN wanted)
    ),
    -- By what is given back: a payment or its hold, or what an account paid under a trace.
    refunds AS
    (
        SELECT
            if(l.refund_of != nobody, (l.refund_of, '', ''),
                (t.credit_account_id, t.trace_id, toString(t.currency))) AS given_back,
            toFloat64(sum(t.amount)) AS amount
        FROM masques.transactions AS t
        LEFT ANY JOIN masques_ops.payment_links AS l ON l.transaction_id = t.transaction_id
        WHERE t.transaction_type = 'refund' AND t.event_type IN ('single_phase', 'two_phase_posted')
        GROUP BY given_back
    ),
    traced AS
    (
        SELECT
            (p.debit_account_id, p.trace_id, toString(p.currency)) AS under_trace,
            any(r.amount) / toFloat64(sum(p.amount)) AS share
        FROM masques.transactions AS p
        INNER JOIN refunds AS r ON r.given_back = (p.debit_account_id, p.trace_id, toString(p.currency))
        WHERE has(lists['purchase_types'], p.transaction_type) AND p.trace_id != ''
            AND p.event_type IN ('single_phase', 'two_phase_posted')
            AND p.trace_id IN (SELECT x.given_back.2 FROM refunds AS x)
        GROUP BY under_trace
        HAVING sum(p.amount) > 0
    ),
    failed AS
    (
        SELECT n.transaction_id AS id FROM masques_ops.settlements_newest AS n
        WHERE n.transaction_id != nobody
        GROUP BY id
        HAVING countIf(n.status = 'failed') > 0 AND countIf(n.status = 'confirmed') = 0
    )
SELECT
    arrayJoin(arrayFilter(x -> x != nobody, [p.transaction_id, p.hold_id])) AS id,
    p.transaction_id AS payment_id, payer.party_id AS payer_id, payee.party_id AS payee_id,
    if(p.amount = 0, 1.0, greatest(0.0, 1.0 - s.share - (own.amount + held.amount) / p.amount)) AS kept_share,
    if(dateDiff('second', rate.quoted_at, p.timestamp) <= rate.holds_s,
        p.amount * rate.usd * kept_share, -1.0) AS usd,
    p.transaction_id IN failed OR p.hold_id IN failed AS is_failed
FROM posted AS p
LEFT ANY JOIN masques_ops.account_owners AS payer ON payer.account_id = p.debit_account_id
LEFT ANY JOIN masques_ops.account_owners AS payee ON payee.account_id = p.credit_account_id
LEFT ANY JOIN traced AS s ON s.under_trace = p.under_trace
LEFT ANY JOIN refunds AS own ON own.given_back = (p.transaction_id, '', '')
LEFT ANY JOIN refunds AS held ON held.given_back = (p.hold_id, '', '')
ASOF LEFT JOIN masques_ops.reputation_rates(known_at = {known_at:DateTime64(9, 'UTC')}) AS rate
    ON rate.currency = p.currency AND p.timestamp >= rate.quoted_at
COMMENT 'The posted payments that the events of the batch refer to. Parameters: known_at - the model in force then. Columns: id - the payment, or the hold that it posted; payment_id - the payment; payer_id, payee_id - the sides, zero for the platform; kept_share - the share that was not given back; usd - that in USD, -1 when there is no rate; is_failed - 1 when its settlement failed and no other is confirmed.';

-- Every party's payer cluster and the hashes of its external ids. Short ids ("7") are ids within their
-- kind; long ones (a wallet) are the same in every kind.
CREATE OR REPLACE VIEW masques_ops.reputation_parties_now
(
    party_id UUID COMMENT 'the identity, or the account that nobody owns',
    cluster_id UUID COMMENT 'the payer cluster: where its money came from first, else itself',
    id_hashes Array(UInt64) COMMENT 'hashes of its external ids'
)
AS
SELECT
    party_id,
    if(k.party_id = party_id, k.cluster_id, party_id) AS cluster_id,
    i.id_hashes AS id_hashes
FROM masques_ops.payer_clusters AS k
FULL JOIN
(
    SELECT
        identity_id AS party_id,
        arrayMap(
            id -> sipHash64(if(length(id.2) < 8, id.1, ''), lower(id.2)),
            arrayFilter(id -> id.2 != '', CAST(external_ids, 'Array(Tuple(String, String))'))) AS id_hashes
    FROM masques.identities FINAL
) AS i USING (party_id)
COMMENT 'The payer cluster and the external ids of each party that has any.';

-- The signals that are due whose keys are known, and the rows that have the id of such a signal. Rows are
-- found by the time of the key.
CREATE OR REPLACE VIEW masques_ops.signals_known
(
    event_id UUID COMMENT 'of the signal',
    event_at DateTime64(9, 'UTC') COMMENT 'time of the row that was written under its id'
)
AS
SELECT k.row_key AS event_id, k.event_at AS event_at
FROM masques_ops.reputation_events_key_times AS k
WHERE k.row_key IN (SELECT d.event_id FROM masques_ops.signals_due AS d)
COMMENT 'The signals that are due whose keys are known.';

CREATE OR REPLACE VIEW masques_ops.signals_written
(
    event_id UUID COMMENT 'of the signal',
    channel LowCardinality(String) COMMENT 'who delivered the row'
)
AS
SELECT e.event_id AS event_id, e.channel AS channel
FROM masques.reputation_events AS e
WHERE (e.event_id, e.timestamp) IN (SELECT k.event_id, k.event_at FROM masques_ops.signals_known AS k)
COMMENT 'Rows that have the id of a signal that is due.';

-- What each event of the batch weighs, in the columns of masques_ops.reputation_evidence. See
-- docs/reputation.md for the reasons. Judgements of one payment share what it weighs.
CREATE OR REPLACE VIEW masques_ops.reputation_evidence_current AS
WITH
    (SELECT (m.numbers, m.lists) FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m)
        AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    attesting AS (SELECT c.channel FROM masques_ops.landing_channels_current AS c WHERE c.attests = 1),
    p.payment_id != nobody AS is_paid,
    if(p.payer_id != nobody, p.payer_id, l.payer_id) AS payer_id,
    if(p.payee_id != nobody, p.payee_id, l.payee_id) AS payee_id,
    multiIf(
        l.status = 'failed' OR p.is_failed, 'reorged',
        is_paid AND p.kept_share <= 0, 'refunded',
        l.kind = 'settlement' AND l.status != 'confirmed', 'settling',
        is_paid, 'money',
        l.kind = 'settlement', 'settled',
        '') AS state,
    (e.channel = 'pipeline' OR e.channel IN attesting)
        AND has(model.2['attestors'], toString(e.reported_id)) AS is_attested
SELECT
    e.identity_id AS identity_id, e.category_code AS category_code,
    multiIf(reason_code = 1, cityHash64(cluster_id), reason_code = 2, 1, 0) AS voice,
    e.timestamp AS timestamp,
    multiIf(
        has([e.reported_id, counterparty_id], e.identity_id) OR (NOT is_attested AND (
            cluster_id = e.identity_id
            OR (own.cluster_id != nobody AND has([counterparty_id, cluster_id], own.cluster_id))
            OR hasAny(own.id_hashes, other.id_hashes))), 5,
        e.channel = 'pipeline' AND e.event_type IN ('hold_expired', 'refund', 'double_pay_suspect'), 9,
        is_attested AND e.delta < 0 AND e.reference_type = 'settlement' AND state IN ('money', 'settled'), 8,
        is_attested AND (e.delta < 0 OR state NOT IN ('reorged', 'refunded', 'settling')), 2,
        state = 'reorged', 7,
        state = 'refunded', 6,
        -- Who was paid lost nothing, and who names a third did not pay either.
        state != 'money' OR has([payer_id, payee_id], nobody) OR NOT has([payer_id, payee_id], e.identity_id)
            OR (e.identity_id = payer_id AND e.delta < 0)
            OR NOT has([nobody, counterparty_id], e.reported_id), 3,
        p.usd < 0, 4,
        1) AS reason_code,
    e.delta AS delta,
    e.quality * multiIf(
        reason_code = 1, p.usd / model.1['usd_per_event']
            / sum(reason_code = 1) OVER (PARTITION BY payment_id, e.identity_id),
        reason_code = 2, 1.0,
        reason_code IN (3, 4), model.1['weight_free'],
        0.0) AS weight,
    if(is_paid, p.usd, 0.0) AS usd,
    e.event_id AS event_id, e.event_type AS event_type,
    e.reference_type AS reference_type, e.reference_id AS reference_id,
    sipHash64(toString(e.reference_type), e.reference) AS reference_key,
    if(is_paid, p.payment_id, l.payment_id) AS payment_id,
    multiIf(
        e.identity_id = payer_id AND payee_id != nobody, payee_id,
        e.identity_id = payee_id AND payer_id != nobody, payer_id,
        e.reported_id) AS counterparty_id,
    if(other.party_id = counterparty_id, other.cluster_id, counterparty_id) AS cluster_id
FROM masques_ops.reputation_batch AS e
LEFT ANY JOIN masques_ops.reputation_links AS l ON l.kind = e.reference_type AND l.id = e.reference
LEFT ANY JOIN masques_ops.reputation_payments(known_at = {known_at:DateTime64(9, 'UTC')}) AS p
    ON p.id = l.payment_id
LEFT ANY JOIN masques_ops.reputation_parties_now AS own ON own.party_id = e.identity_id
LEFT ANY JOIN masques_ops.reputation_parties_now AS other ON other.party_id = counterparty_id
COMMENT 'What each event of the batch weighs before it ages. Parameters: known_at - the model in force then. Columns: identity_id .. cluster_id - as in masques_ops.reputation_evidence.';
