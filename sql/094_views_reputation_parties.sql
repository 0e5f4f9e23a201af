-- Reputation, step 1 of 4: who is who, who paid whom, and what a reference proves.
--
-- A run keeps what these views find (masques_ops.reputation_*, 011); their names end in _now, since they
-- answer by what is known now.

-- The model in force at known_at, as one tuple.
CREATE OR REPLACE VIEW masques_ops.reputation_model AS
SELECT
    m.model_version AS model_version,
    CAST(
        tuple(half_life_days, window_days, share_task_quality, share_economic,
            share_identity_hygiene, prior_weight, prior_score, lower_deviations, cap_least,
            cap_most, cap_attestor, weight_plain, weight_ungrounded, dust_usd, dust_least,
            rate_age_max_days, attestors, platform_account_types, purchase_types,
            other_unfunding_types, heirs_most, m.model_version),
        'Tuple(half_life_days Float64, window_days Float64, share_task_quality Float64, share_economic Float64, share_identity_hygiene Float64, prior_weight Float64, prior_score Float64, lower_deviations Float64, cap_least Float64, cap_most Float64, cap_attestor Float64, weight_plain Float64, weight_ungrounded Float64, dust_usd Float64, dust_least Float64, rate_age_max_days Float64, attestors Array(UUID), platform_account_types Array(String), purchase_types Array(String), other_unfunding_types Array(String), heirs_most Float64, version String)')
        AS model
FROM masques_ops.reputation_models AS m
WHERE m.loaded_at <= {known_at:DateTime64(9, 'UTC')}
ORDER BY m.loaded_at DESC, m.model_version DESC
LIMIT 1
COMMENT 'The reputation model in force at a moment, as one named tuple. Parameters: known_at - the moment. Columns: model_version - name of the version; model - all parameters of masques_ops.reputation_models by name, and version.';

-- Whose each account is. An account's owner and type never change in the ledger.
CREATE OR REPLACE VIEW masques_ops.account_owners
(
    account_id UUID COMMENT 'the ledger account',
    account_type String COMMENT 'account code by the chart; code_<n> when unknown',
    party_id UUID COMMENT 'the identity that owns the account, or the account when nobody does'
)
AS
SELECT
    account_id,
    any(account_type) AS account_type,
    if(any(identity_id) = toUUID('00000000-0000-0000-0000-000000000000'), account_id,
        any(identity_id)) AS party_id
FROM masques.accounts
GROUP BY account_id
COMMENT 'Who owns each ledger account.';

-- Posted payments for something that this run has to look at, as known now, by their own id and by
-- that of the hold that they posted. usd is what was not given back, -1 when there is no rate. A
-- refund goes back to the account that paid, under the same trace; several payments of one trace
-- share it. A payment whose settlement failed on its rail, and has no other that is final, is failed.
-- A side that belongs to the platform is the zero id: the platform is no counterparty.
CREATE OR REPLACE VIEW masques_ops.reputation_payments
(
    transfer_id UUID COMMENT 'the payment, or the hold that it posted',
    timestamp DateTime64(9, 'UTC') COMMENT 'ledger time of the payment',
    payer_id UUID COMMENT 'who paid; zero for the platform',
    payee_id UUID COMMENT 'who was paid; zero for the platform',
    kept_share Float64 COMMENT 'the share of the payment that was not given back',
    usd_each Float64 COMMENT 'USD for one whole unit of the currency; -1 when there is no rate',
    usd Float64 COMMENT 'what was paid and not given back, in USD; -1 when there is no rate',
    is_failed UInt8 COMMENT '1 when the settlement of the payment failed on its rail and no other is confirmed'
)
AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    wanted AS
    (
        SELECT transaction_id
        FROM masques_ops.reputation_touched_links
        WHERE transaction_id != nobody
    ),
    posted AS
    (
        SELECT
            transaction_id, pending_id, timestamp, debit_account_id, credit_account_id, amount,
            toString(currency) AS currency, trace_id
        FROM masques.transactions
        WHERE has(model.purchase_types, transaction_type)
            AND event_type IN ('single_phase', 'two_phase_posted')
            AND (transaction_id IN (SELECT transaction_id FROM wanted)
                OR ifNull(pending_id, nobody) IN (SELECT transaction_id FROM wanted))
    ),
    refunds AS
    (
        SELECT
            credit_account_id AS account_id, trace_id, toString(t.currency) AS currency,
            sum(amount) AS refunded
        FROM masques.transactions AS t
        WHERE transaction_type = 'refund' AND trace_id != ''
            AND event_type IN ('single_phase', 'two_phase_posted')
        GROUP BY account_id, trace_id, currency
    ),
    shares AS
    (
        SELECT
            p.debit_account_id AS account_id,
            p.trace_id AS trace_id,
            toString(p.currency) AS currency,
            sum(p.amount) AS paid,
            any(r.refunded) AS given_back,
            if(given_back >= paid, 0.0, 1.0 - toFloat64(given_back) / toFloat64(paid)) AS kept_share
        FROM masques.transactions AS p
        INNER JOIN refunds AS r ON r.account_id = p.debit_account_id AND r.trace_id = p.trace_id
            AND r.currency = toString(p.currency)
        WHERE has(model.purchase_types, p.transaction_type)
            AND p.event_type IN ('single_phase', 'two_phase_posted')
            AND p.trace_id IN (SELECT trace_id FROM refunds)
        GROUP BY account_id, trace_id, currency
    ),
    rates AS
    (
        SELECT toString(r.currency) AS currency, quoted_at, toFloat64(argMin(usd, ingested_at)) AS usd
        FROM masques_ops.exchange_rates AS r
        GROUP BY currency, quoted_at
    ),
    failed AS
    (
        SELECT transaction_id
        FROM masques_ops.settlements_newest
        WHERE transaction_id != nobody
        GROUP BY transaction_id
        HAVING countIf(status = 'failed') > 0 AND countIf(status = 'confirmed') = 0
    )
SELECT
    arrayJoin(arrayFilter(
        id -> id != nobody, [p.transaction_id, ifNull(p.pending_id, nobody)])) AS transfer_id,
    p.timestamp AS timestamp,
    if(has(model.platform_account_types, payer.account_type), nobody, payer.party_id) AS payer_id,
    if(has(model.platform_account_types, payee.account_type), nobody, payee.party_id) AS payee_id,
    if(share.trace_id = '', 1.0, share.kept_share) AS kept_share,
    multiIf(
        p.currency = 'USD', 1.0,
        rate.currency = '' OR dateDiff('second', rate.quoted_at, p.timestamp)
            > model.rate_age_max_days * 86400, -1.0,
        rate.usd) AS usd_each,
    if(usd_each < 0, -1.0, toFloat64(p.amount) * usd_each * kept_share) AS usd,
    p.transaction_id IN (SELECT transaction_id FROM failed)
        OR ifNull(p.pending_id, nobody) IN (SELECT transaction_id FROM failed) AS is_failed
FROM posted AS p
LEFT ANY JOIN masques_ops.account_owners AS payer ON payer.account_id = p.debit_account_id
LEFT ANY JOIN masques_ops.account_owners AS payee ON payee.account_id = p.credit_account_id
LEFT ANY JOIN shares AS share ON share.account_id = p.debit_account_id
    AND share.trace_id = p.trace_id AND share.currency = p.currency
ASOF LEFT JOIN rates AS rate ON rate.currency = p.currency AND p.timestamp >= rate.quoted_at
COMMENT 'Posted payments that the reputation run looks at, under their own id and under that of their hold.';

-- Where references lead that this run has to look at, and who is known to be on either side.
CREATE OR REPLACE VIEW masques_ops.reputation_links_now
(
    reference_key UInt64 COMMENT 'sipHash64(kind, id)',
    kind String COMMENT 'session, request, settlement or transaction',
    id UUID COMMENT 'id of the thing referred to',
    transaction_id UUID COMMENT 'the payment that the reference leads to, or its hold; else zero',
    payer_id UUID COMMENT 'who wore the masque or asked; zero when unknown',
    payee_id UUID COMMENT 'who is paid for the masque; zero when unknown',
    status String COMMENT 'of a settlement'
)
AS
WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    links AS
    (
        SELECT
            'session' AS kind,
            s.session_id AS id,
            max(ifNull(s.transaction_id, nobody)) AS transaction_id,
            max(s.identity_id) AS payer_id,
            max(s.author_id) AS payee_id,
            '' AS status
        FROM masques.masque_sessions AS s
        WHERE s.session_id IN
            (SELECT id FROM masques_ops.reputation_touched_references WHERE kind = 'session')
        GROUP BY s.session_id
        UNION ALL
        SELECT
            'request', r.request_id, max(ifNull(r.transaction_id, nobody)), max(r.identity_id),
            nobody, ''
        FROM masques.api_requests AS r
        WHERE r.request_id IN
            (SELECT id FROM masques_ops.reputation_touched_references WHERE kind = 'request')
        GROUP BY r.request_id
        UNION ALL
        SELECT 'settlement', settlement_id, transaction_id, nobody, nobody, status
        FROM masques_ops.settlements_newest
        WHERE settlement_id IN
            (SELECT id FROM masques_ops.reputation_touched_references WHERE kind = 'settlement')
        UNION ALL
        SELECT DISTINCT 'transaction', id, id, nobody, nobody, ''
        FROM masques_ops.reputation_touched_references
        WHERE kind = 'transaction'
    )
SELECT sipHash64(kind, id) AS reference_key, kind, id, transaction_id, payer_id, payee_id, status
FROM links
WHERE id != nobody
COMMENT 'Where the references lead that the reputation run looks at.';

-- What those references prove, as known now.
CREATE OR REPLACE VIEW masques_ops.reputation_references_now
(
    reference_key UInt64 COMMENT 'sipHash64(reference_type, reference_id as UUID)',
    state String COMMENT 'money, plain, settled, settling, refunded or reorged: see docs/reputation.md',
    payer_id UUID COMMENT 'who paid, or wore the masque; zero when unknown or the platform',
    payee_id UUID COMMENT 'who was paid; zero when unknown or the platform',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    kept_share Float64 COMMENT 'the share of the payment that was not given back',
    content UInt64 COMMENT 'hash of the four columns above'
)
AS
WITH toUUID('00000000-0000-0000-0000-000000000000') AS nobody
SELECT
    l.reference_key AS reference_key,
    multiIf(
        l.status = 'failed' OR p.is_failed, 'reorged',
        p.transfer_id != nobody AND p.kept_share = 0, 'refunded',
        l.kind = 'settlement' AND l.status != 'confirmed', 'settling',
        p.transfer_id != nobody, 'money',
        l.kind = 'settlement', 'settled',
        'plain') AS state,
    if(p.payer_id != nobody, p.payer_id, l.payer_id) AS payer_id,
    if(p.payee_id != nobody, p.payee_id, l.payee_id) AS payee_id,
    if(p.transfer_id != nobody, p.usd, 0.0) AS usd,
    if(p.transfer_id != nobody, p.kept_share, 1.0) AS kept_share,
    sipHash64(state, payer_id, payee_id, usd, kept_share) AS content
FROM
(
    SELECT reference_key, kind, id, transaction_id, payer_id, payee_id, status
    FROM masques_ops.reputation_touched_links
    LIMIT 1 BY reference_key
) AS l
LEFT ANY JOIN masques_ops.reputation_payments AS p ON p.transfer_id = l.transaction_id
WHERE l.kind != 'transaction' OR p.transfer_id != nobody
COMMENT 'What the references that the run looks at prove, as known now.';

-- Who is who, as known now. The cluster of a party is where its money came from: the ledger's first
-- funder, and behind that the wallet whose settlement first arrived, when one is known.
CREATE OR REPLACE VIEW masques_ops.reputation_parties_now
(
    is_account UInt8 COMMENT '1 for an account, 0 for an identity',
    party_id UUID COMMENT 'the account, or the identity',
    funder_id UUID COMMENT 'whose money came first: the party itself when nobody funded it',
    cluster_id UUID COMMENT 'the payer cluster; zero for an account of the platform',
    shared_ids Array(UInt64) COMMENT 'hashes of external ids that other identities have too'
)
AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    arrived AS
    (
        SELECT transaction_id, argMin(lower(s.payer), s.timestamp) AS wallet, min(s.timestamp) AS at
        FROM masques_ops.settlements_newest AS s
        WHERE transaction_id != nobody AND status = 'confirmed' AND payer != ''
            AND direction = 'in'
        GROUP BY transaction_id
    ),
    wallets AS
    (
        SELECT
            if(has(model.platform_account_types, payer.account_type),
                payee.party_id, payer.party_id) AS party_id,
            reinterpretAsUUID(sipHash128(argMin(s.wallet, s.at))) AS wallet_id
        FROM
        (
            SELECT transaction_id, debit_account_id, credit_account_id
            FROM masques.transactions
            WHERE transaction_id IN (SELECT transaction_id FROM arrived)
        ) AS t
        INNER JOIN arrived AS s ON s.transaction_id = t.transaction_id
        INNER JOIN masques_ops.account_owners AS payer ON payer.account_id = t.debit_account_id
        INNER JOIN masques_ops.account_owners AS payee ON payee.account_id = t.credit_account_id
        GROUP BY party_id
    ),
    -- Short ids ("7") are ids within their kind; long ones (a wallet) are the same in every kind.
    external AS
    (
        SELECT
            identity_id AS party_id,
            arrayJoin(CAST(external_ids, 'Array(Tuple(String, String))')) AS pair,
            sipHash64(if(length(pair.2) < 8, pair.1, ''), lower(pair.2)) AS id_hash
        FROM masques.identities FINAL
        WHERE pair.2 != ''
    ),
    shared AS
    (
        SELECT arrayJoin(party_ids) AS party_id, arraySort(groupUniqArray(id_hash)) AS shared_ids
        FROM
        (
            SELECT id_hash, groupUniqArray(party_id) AS party_ids
            FROM external
            GROUP BY id_hash
            HAVING length(party_ids) > 1
        )
        GROUP BY party_id
    ),
    -- An account stands for its owner. The platform's accounts belong to no cluster.
    parties AS
    (
        SELECT 1 AS is_account, o.account_id AS party_id, o.party_id AS owner_id,
            has(model.platform_account_types, o.account_type) AS is_platform
        FROM masques_ops.account_owners AS o
        UNION ALL
        SELECT DISTINCT 0, identity_id, identity_id, 0
        FROM masques.identities
        UNION ALL
        SELECT DISTINCT 0, o.party_id, o.party_id, 0
        FROM masques_ops.account_owners AS o
    )
SELECT
    p.is_account AS is_account,
    p.party_id AS party_id,
    if(funded.party_id = p.owner_id, funded.cluster_id, p.owner_id) AS funder_id,
    multiIf(
        any(p.is_platform) = 1, nobody,
        any(w.party_id) = any(funder_id), any(w.wallet_id),
        any(funder_id)) AS cluster_id,
    any(s.shared_ids) AS shared_ids
FROM parties AS p
LEFT ANY JOIN masques_ops.payer_clusters AS funded ON funded.party_id = p.owner_id
LEFT ANY JOIN wallets AS w ON w.party_id = funder_id
LEFT ANY JOIN shared AS s ON s.party_id = p.owner_id
GROUP BY is_account, party_id, funder_id
COMMENT 'Who is who, as known now.';

-- Who inherits from whom: a suspended or revoked identity, and a newer one that shares an external id
-- or the payer cluster with it. What more than heirs_most others share says little: the wallet of an
-- exchange funds many people. Only newer ones, or anybody could take an id of somebody and be
-- suspended with it.
CREATE OR REPLACE VIEW masques_ops.reputation_heirs
(
    suspended_id UUID COMMENT 'the suspended or revoked identity',
    heir_id UUID COMMENT 'the newer identity that shares an external id or the payer cluster'
)
AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    parties AS
    (
        SELECT party_id, cluster_id, shared_ids
        FROM masques_ops.reputation_parties
        WHERE is_account = 0
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    marks AS
    (
        SELECT
            (i.identity_id, i.created_at, i.status IN ('suspended', 'revoked')) AS bearer,
            arrayJoin(arrayConcat(
                [sipHash64('cluster', if(p.party_id = i.identity_id, p.cluster_id, i.identity_id))],
                p.shared_ids)) AS mark
        FROM
        (
            SELECT identity_id, created_at, toString(status) AS status
            FROM masques.identities FINAL
        ) AS i
        LEFT ANY JOIN parties AS p ON p.party_id = i.identity_id
    ),
    families AS
    (
        SELECT mark, groupUniqArray(bearer) AS bearers
        FROM marks
        GROUP BY mark
        HAVING max(bearer.3) = 1 AND length(bearers) BETWEEN 2 AND model.heirs_most + 1
    )
SELECT DISTINCT suspended.1 AS suspended_id, heir.1 AS heir_id
FROM families
ARRAY JOIN arrayFilter(b -> b.3, bearers) AS suspended
ARRAY JOIN arrayFilter(b -> NOT b.3, bearers) AS heir
WHERE heir.2 > suspended.2
COMMENT 'Who inherits bad judgements: a suspended identity, and a newer one that is linked to it.';
