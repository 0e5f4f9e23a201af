-- The reputation model: who paid whom, what a reference proves, and the scores. A re-run changes
-- nothing.
--
-- A run first writes down what changed since the last one (sql/transforms/reputation/):
--   payer_clusters          whose money came first, once for each party
--   reputation_parties      the payer cluster of each party, and the ids that it shares with others
--   reputation_references   what each reference of an event proves
-- Then one computation makes the scores of it:
--   reputation_evidence     each event once, with the weight that its reference earns it
--   reputation_scores_at    the scores
-- These two take two moments. as_of is the moment that is asked about: events after it are left out
-- and ages count back from it. known_at is the moment of knowledge: what was written down later is
-- left out. A run asks with both alike; the same question put later gets the same answer.
--
-- Scores are floats. Money is exact up to the one product or quotient that makes it a weight.

-- The parameters of the model. The newest row speaks; scores name the version that made them.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_models
(
    model_version String,
    loaded_at DateTime64(6, 'UTC') COMMENT 'in force from here on',
    half_life_days Float64 COMMENT 'evidence weighs half after this long',
    window_days Float64 COMMENT 'evidence older than this counts zero',
    share_task_quality Float64 COMMENT 'the three shares add up to 1',
    share_economic Float64,
    share_identity_hygiene Float64,
    prior_weight Float64 COMMENT 'W: how much evidence the prior is worth',
    prior_score Float64 COMMENT 'a: the score without evidence',
    lower_deviations Float64 COMMENT 'score_lower: standard deviations below the score',
    cap_least Float64 COMMENT 'evidence that any payer cluster may give, per identity and category',
    cap_most Float64 COMMENT 'the same for a cluster that spends much elsewhere',
    cap_attestor Float64 COMMENT 'the same for the platform',
    weight_plain Float64 COMMENT 'of an event whose session or request moved no money',
    weight_ungrounded Float64 COMMENT 'of an event whose reference proves nothing',
    dust_usd Float64 COMMENT 'payments below this weigh less, in proportion',
    dust_least Float64 COMMENT 'but not less than this',
    rate_age_max_days Float64 COMMENT 'an exchange rate older than this is no rate',
    attestors Array(UUID) COMMENT 'whose word is the platform''s',
    platform_account_types Array(String) COMMENT 'accounts of the platform: nobody''s funder or payer',
    purchase_types Array(String) COMMENT 'transfers that pay for something and so ground a judgement',
    other_unfunding_types Array(String) COMMENT 'further transfers that fund nobody'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (loaded_at, model_version);

-- The packaged model, so that the view works before any run; reputation/model.yaml says the same.
INSERT INTO masques_ops.reputation_models
SELECT
    'beta-1', toDateTime64(0, 6, 'UTC'), 30, 90, 0.40, 0.35, 0.25, 10, 0.5, 1.645, 1, 5, 50, 0.5,
    0.2, 0.01, 0.1, 7, [toUUID('b66f28e4-5f35-5b02-84a3-df8135e0a8ed')],
    ['treasury', 'platform_fee', 'escrow'],
    ['masque_session', 'api_call', 'escrow_hold', 'escrow_release'],
    ['fee', 'refund', 'settlement']
WHERE (SELECT count() FROM masques_ops.reputation_models) = 0;

CREATE VIEW IF NOT EXISTS masques_ops.reputation_model AS
SELECT
    model_version,
    CAST(
        tuple(half_life_days, window_days, share_task_quality, share_economic,
            share_identity_hygiene, prior_weight, prior_score, lower_deviations, cap_least,
            cap_most, cap_attestor, weight_plain, weight_ungrounded, dust_usd, dust_least,
            rate_age_max_days, attestors, platform_account_types, purchase_types,
            other_unfunding_types, model_version),
        'Tuple(half_life_days Float64, window_days Float64, share_task_quality Float64, share_economic Float64, share_identity_hygiene Float64, prior_weight Float64, prior_score Float64, lower_deviations Float64, cap_least Float64, cap_most Float64, cap_attestor Float64, weight_plain Float64, weight_ungrounded Float64, dust_usd Float64, dust_least Float64, rate_age_max_days Float64, attestors Array(UUID), platform_account_types Array(String), purchase_types Array(String), other_unfunding_types Array(String), version String)')
        AS model
FROM masques_ops.reputation_models
WHERE loaded_at <= {known_at:DateTime64(9, 'UTC')}
ORDER BY loaded_at DESC, model_version DESC
LIMIT 1;

-- What one unit of a currency was worth in USD. USD itself needs no row.
CREATE TABLE IF NOT EXISTS masques_ops.exchange_rates
(
    currency LowCardinality(String),
    quoted_at DateTime64(9, 'UTC') COMMENT 'holds from here until the next quote',
    usd Decimal(38, 18) COMMENT 'USD for one whole unit of the currency',
    source String COMMENT 'the file that brought it',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (currency, quoted_at)
TTL toDate(quoted_at) + INTERVAL 7 YEAR;

-- Who first funded whom, followed back to its beginning. A row is written once and holds for ever:
-- only what happened before somebody was funded decides whose money it was.
CREATE TABLE IF NOT EXISTS masques_ops.payer_clusters
(
    party_id UUID COMMENT 'the identity that owns the account, or the account when nobody does',
    funder_id UUID COMMENT 'whose money came first',
    cluster_id UUID COMMENT 'where that money came from in the end',
    funded_at_ns Int64 COMMENT 'ledger time of the first funding, nanoseconds since 1970'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY party_id;

-- Who is who. Every account has a row; an identity only when it is not simply its own cluster. A new
-- row is written when something of it changed.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_parties
(
    is_account UInt8,
    party_id UUID COMMENT 'the account, or the identity',
    known_from DateTime64(6, 'UTC'),
    cluster_id UUID COMMENT 'the payer cluster; zero for an account of the platform',
    shared_ids Array(UInt64) COMMENT 'hashes of external ids that other identities have too'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (is_account, party_id, known_from);

-- What a reference of a reputation event proves. A new row is written when something of it changed.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_references
(
    reference_key UInt64 COMMENT 'sipHash64(reference_type, reference_id as UUID)',
    known_from DateTime64(6, 'UTC'),
    state LowCardinality(String)
        COMMENT 'money, plain, settled, settling, refunded or reorged: see docs/reputation.md',
    payer_id UUID COMMENT 'who paid, or wore the masque; zero when unknown or the platform',
    payee_id UUID COMMENT 'who was paid; zero when unknown or the platform',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    kept_share Float64 COMMENT 'the share of the payment that was not given back',
    content UInt64 COMMENT 'hash of the four columns above'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (reference_key, known_from);

-- The keys that each identity was seen with.
CREATE TABLE IF NOT EXISTS masques_ops.identity_keys
(
    identity_id UUID,
    key String COMMENT 'attribute key_id or public_key of the identity',
    seen_at DateTime64(9, 'UTC') COMMENT 'updated_at of the first version that had it'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (identity_id, key);

-- Whose each account is. An account's owner and type never change in the ledger.
CREATE VIEW IF NOT EXISTS masques_ops.account_owners AS
SELECT
    account_id,
    any(account_type) AS account_type,
    if(any(identity_id) = toUUID('00000000-0000-0000-0000-000000000000'), account_id,
        any(identity_id)) AS party_id
FROM masques.accounts
GROUP BY account_id;

-- Each settlement as its newest revision says.
CREATE VIEW IF NOT EXISTS masques_ops.settlements_newest AS
SELECT
    settlement_id,
    newest.1 AS timestamp,
    newest.2 AS status,
    newest.3 AS direction,
    newest.4 AS payer,
    newest.5 AS transaction_id
FROM
(
    SELECT
        settlement_id,
        argMax(
            (s.timestamp, toString(s.status), toString(s.direction), s.payer,
                ifNull(s.transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))),
            (s.revision, s.recorded_at)) AS newest
    FROM masques.settlements AS s
    GROUP BY settlement_id
);

-- Posted payments for something, as known now, by their own id and by that of the hold that they
-- posted. usd is what was not given back, -1 when there is no rate. A refund goes back to the account
-- that paid, under the same trace; several payments of one trace share it. A payment whose
-- settlement failed on its rail, and has no other that is final, is failed. A side that belongs to
-- the platform is the zero id: the platform is no counterparty.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_payments AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    posted AS
    (
        SELECT
            transaction_id, pending_id, timestamp, debit_account_id, credit_account_id, amount,
            toString(currency) AS currency, trace_id
        FROM masques.transactions
        WHERE has(model.purchase_types, transaction_type)
            AND event_type IN ('single_phase', 'two_phase_posted')
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
            p.currency AS currency,
            sum(p.amount) AS paid,
            any(r.refunded) AS given_back,
            if(given_back >= paid, 0.0, 1.0 - toFloat64(given_back) / toFloat64(paid)) AS kept_share
        FROM posted AS p
        INNER JOIN refunds AS r ON r.account_id = p.debit_account_id AND r.trace_id = p.trace_id
            AND r.currency = p.currency
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
ASOF LEFT JOIN rates AS rate ON rate.currency = p.currency AND p.timestamp >= rate.quoted_at;

-- What the references of recent events prove, as known now.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_references_now AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    -- A day more than what the oldest anchor looks at.
    references AS
    (
        SELECT reference_type, toUUIDOrZero(reference_id) AS id
        FROM masques.reputation_events
        WHERE timestamp > now64(9, 'UTC') - toIntervalSecond((model.window_days + 31) * 86400)
    ),
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
        WHERE s.session_id IN (SELECT id FROM references WHERE reference_type = 'session')
        GROUP BY s.session_id
        UNION ALL
        SELECT
            'request', r.request_id, max(ifNull(r.transaction_id, nobody)), max(r.identity_id),
            nobody, ''
        FROM masques.api_requests AS r
        WHERE r.request_id IN (SELECT id FROM references WHERE reference_type = 'request')
        GROUP BY r.request_id
        UNION ALL
        SELECT 'settlement', settlement_id, transaction_id, nobody, nobody, status
        FROM masques_ops.settlements_newest
        WHERE settlement_id IN (SELECT id FROM references WHERE reference_type = 'settlement')
        UNION ALL
        SELECT DISTINCT 'transaction', id, id, nobody, nobody, ''
        FROM references
        WHERE reference_type = 'transaction'
    )
SELECT
    sipHash64(l.kind, l.id) AS reference_key,
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
FROM links AS l
LEFT ANY JOIN masques_ops.reputation_payments AS p ON p.transfer_id = l.transaction_id
WHERE l.id != nobody AND (l.kind != 'transaction' OR p.transfer_id != nobody);

-- Who is who, as known now. The cluster of a party is where its money came from: the ledger's first
-- funder, and behind that the wallet whose settlement first arrived, when one is known.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_parties_now AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    wallets AS
    (
        SELECT
            if(has(model.platform_account_types, payer.account_type),
                payee.party_id, payer.party_id) AS party_id,
            reinterpretAsUUID(sipHash128(argMin(lower(s.payer), s.timestamp))) AS wallet_id
        FROM masques_ops.settlements_newest AS s
        INNER JOIN masques.transactions AS t ON t.transaction_id = s.transaction_id
        INNER JOIN masques_ops.account_owners AS payer ON payer.account_id = t.debit_account_id
        INNER JOIN masques_ops.account_owners AS payee ON payee.account_id = t.credit_account_id
        WHERE s.transaction_id != nobody AND s.status = 'confirmed' AND s.payer != ''
            AND s.direction = 'in'
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
GROUP BY is_account, party_id, funder_id;

-- Each event of the window once, with what its reference proves and what it therefore weighs before
-- it ages. An event that came twice counts once; of copies that disagree the earliest speaks.
--
-- reason  money         the reference is a posted payment, and the identity is a side of it: 1, less
--                       for dust, and only for the part that was not given back
--         plain         a session or request of theirs that moved no money: weight_plain
--         attested      the word of the platform: 1
--         ungrounded    the reference proves nothing: weight_ungrounded
--         self_dealing, refunded, reorged, contradicted: 0
-- The counterparty is the other side of the reference where it names one; else the one reported.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_evidence AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    -- The oldest anchor lies 30 days back and looks back one window from there.
    as_of - toIntervalSecond((model.window_days + 30) * 86400) AS oldest,
    -- By hash: half the memory; an event that only shares the hash takes the longer way unharmed.
    repeated AS
    (
        SELECT cityHash64(event_id) AS event_hash
        FROM masques.reputation_events
        WHERE timestamp > oldest AND timestamp <= as_of
            AND ingested_at <= {known_at:DateTime64(9, 'UTC')}
        GROUP BY event_hash
        HAVING count() > 1
    ),
    events AS
    (
        SELECT
            event_id, timestamp, identity_id, category, event_type, score_delta, confidence,
            reference_type, reference_id, attributes['counterparty_id'] AS counterparty
        FROM masques.reputation_events
        WHERE timestamp > oldest AND timestamp <= as_of
            AND ingested_at <= {known_at:DateTime64(9, 'UTC')}
            AND cityHash64(event_id) NOT IN (SELECT event_hash FROM repeated)
        UNION ALL
        SELECT
            event_id, first.1, first.3, first.4, first.5, first.6, first.7, first.8, first.9,
            first.10
        FROM
        (
            SELECT
                event_id,
                min((timestamp, ingested_at, identity_id, toString(category), toString(event_type),
                    score_delta, confidence, toString(reference_type), reference_id,
                    attributes['counterparty_id'])) AS first
            FROM masques.reputation_events
            WHERE timestamp > oldest AND timestamp <= as_of
                AND ingested_at <= {known_at:DateTime64(9, 'UTC')}
                AND cityHash64(event_id) IN (SELECT event_hash FROM repeated)
            GROUP BY event_id
        )
    ),
    read AS
    (
        SELECT
            event_id,
            timestamp,
            identity_id,
            category,
            event_type,
            if(isNaN(score_delta), 0.0, greatest(-1.0, least(1.0, score_delta))) AS delta,
            if(isNaN(confidence), 0.0, greatest(0.0, least(1.0, confidence))) AS quality,
            reference_type,
            reference_id,
            sipHash64(toString(reference_type), toUUIDOrZero(reference_id)) AS reference_key,
            toUUIDOrZero(counterparty) AS counterparty_uuid,
            if(counterparty_uuid = nobody AND counterparty != '',
                reinterpretAsUUID(sipHash128(lower(counterparty))), counterparty_uuid) AS reported_id
        FROM events
        WHERE category IN ('task_quality', 'economic', 'identity_hygiene')
    ),
    -- In the order of the tables, so that the newest row of each is found without a sort.
    references AS
    (
        SELECT reference_key, state, payer_id, payee_id, usd, kept_share
        FROM masques_ops.reputation_references
        WHERE known_from <= {known_at:DateTime64(9, 'UTC')}
        ORDER BY reference_key DESC, known_from DESC
        LIMIT 1 BY reference_key
    ),
    parties AS
    (
        SELECT party_id, cluster_id, shared_ids
        FROM masques_ops.reputation_parties
        WHERE is_account = 0 AND known_from <= {known_at:DateTime64(9, 'UTC')}
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    referring AS
    (
        SELECT
            e.event_id AS event_id,
            e.timestamp AS timestamp,
            e.identity_id AS identity_id,
            e.category AS category,
            e.event_type AS event_type,
            e.delta AS delta,
            e.quality AS quality,
            e.reference_type AS reference_type,
            e.reference_id AS reference_id,
            e.reported_id AS reported_id,
            r.state AS state,
            r.payer_id AS payer_id,
            r.payee_id AS payee_id,
            r.usd AS usd,
            r.kept_share AS kept_share,
            state != '' AND identity_id != nobody
                AND (identity_id = payer_id OR identity_id = payee_id) AS is_side,
            multiIf(
                is_side AND identity_id = payer_id AND payee_id != nobody, payee_id,
                is_side AND identity_id = payee_id AND payer_id != nobody, payer_id,
                reported_id) AS counterparty_id
        FROM read AS e
        LEFT ANY JOIN references AS r ON r.reference_key = e.reference_key
    ),
    acquainted AS
    (
        SELECT
            e.*,
            has(model.attestors, e.reported_id) AND NOT has(model.attestors, e.identity_id)
                AS is_attested,
            multiIf(
                is_attested, model.attestors[1],
                counterparty.party_id = e.counterparty_id, counterparty.cluster_id,
                e.counterparty_id) AS cluster_id,
            e.reported_id = e.identity_id OR e.counterparty_id = e.identity_id
                OR (NOT is_attested AND (
                    cluster_id = if(
                        subject.party_id = e.identity_id, subject.cluster_id, e.identity_id)
                    OR hasAny(subject.shared_ids, counterparty.shared_ids))) AS is_self_dealing
        FROM referring AS e
        LEFT ANY JOIN parties AS subject ON subject.party_id = e.identity_id
        LEFT ANY JOIN parties AS counterparty ON counterparty.party_id = e.counterparty_id
    )
SELECT
    event_id,
    timestamp,
    (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(timestamp)) / 86400e9 AS age_days,
    identity_id,
    category,
    event_type,
    delta,
    quality,
    reference_type,
    reference_id,
    counterparty_id,
    cluster_id,
    is_attested,
    usd,
    -- The platform may say that a payment failed; anybody else's word on it is void with it.
    multiIf(
        is_self_dealing, 5,
        is_attested AND delta < 0 AND reference_type = 'settlement'
            AND state IN ('money', 'settled'), 8,
        is_attested AND delta < 0, 3,
        state = 'reorged', 7,
        state = 'refunded', 6,
        is_attested AND state != 'settling', 3,
        state = 'money' AND is_side, 1,
        state = 'plain' AND (is_side OR (reference_type = 'request' AND reported_id = payer_id)), 2,
        4) AS reason_code,
    ['money', 'plain', 'attested', 'ungrounded', 'self_dealing', 'refunded', 'reorged',
        'contradicted'][reason_code] AS reason,
    if(reason_code = 1,
        kept_share * if(usd < 0, 1.0,
            greatest(model.dust_least, least(1.0, usd / model.dust_usd))),
        [1.0, model.weight_plain, 1.0, model.weight_ungrounded, 0.0, 0.0, 0.0, 0.0][reason_code])
        AS grounding,
    quality * grounding AS weight
FROM acquainted;

-- What each payer cluster bought in the window of each anchor beyond its main seller, in USD, by
-- what was known then. Money that goes to one seller says little about the payer: it may be going
-- round in a circle. Refunds count back.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_spending AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    rates AS
    (
        SELECT toString(r.currency) AS currency, quoted_at, toFloat64(argMin(usd, ingested_at)) AS usd
        FROM masques_ops.exchange_rates AS r
        WHERE ingested_at <= {known_at:DateTime64(9, 'UTC')}
        GROUP BY currency, quoted_at
    ),
    parties AS
    (
        SELECT party_id, cityHash64(cluster_id) AS cluster_key, cluster_id = nobody AS is_platform
        FROM masques_ops.reputation_parties
        WHERE is_account = 1 AND known_from <= {known_at:DateTime64(9, 'UTC')}
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    moved AS
    (
        SELECT
            if(transaction_type = 'refund', credit_account_id, debit_account_id) AS payer_account_id,
            if(transaction_type = 'refund', debit_account_id, credit_account_id) AS payee_account_id,
            if(transaction_type = 'refund', -1, 1) * toFloat64(amount) AS units,
            toString(currency) AS currency,
            timestamp,
            (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(timestamp)) / 86400e9 AS age_days
        FROM masques.transactions AS t
        WHERE (has(model.purchase_types, transaction_type) OR transaction_type = 'refund')
            AND event_type IN ('single_phase', 'two_phase_posted')
            AND timestamp > as_of - toIntervalSecond((model.window_days + 30) * 86400)
            AND timestamp <= as_of
            AND ingested_at <= {known_at:DateTime64(9, 'UTC')}
    ),
    priced AS
    (
        SELECT
            payer.cluster_key AS cluster_key,
            payee.cluster_key AS seller_cluster_key,
            m.age_days AS age_days,
            m.units * multiIf(
                m.currency = 'USD', 1.0,
                rate.currency = '' OR dateDiff('second', rate.quoted_at, m.timestamp)
                    > model.rate_age_max_days * 86400, 0.0,
                rate.usd) AS usd
        FROM moved AS m
        LEFT ANY JOIN parties AS payer ON payer.party_id = m.payer_account_id
        LEFT ANY JOIN parties AS payee ON payee.party_id = m.payee_account_id
        ASOF LEFT JOIN rates AS rate
            ON rate.currency = m.currency AND m.timestamp >= rate.quoted_at
        WHERE cluster_key != seller_cluster_key AND payer.party_id != nobody
            AND payee.party_id != nobody AND NOT payer.is_platform AND NOT payee.is_platform
    ),
    pairs AS
    (
        SELECT
            cluster_key,
            seller_cluster_key,
            sumIf(usd, age_days < model.window_days) AS usd_0,
            sumIf(usd, age_days >= 7 AND age_days < model.window_days + 7) AS usd_7,
            sumIf(usd, age_days >= 30) AS usd_30
        FROM priced
        GROUP BY cluster_key, seller_cluster_key
    )
SELECT
    cluster_key,
    greatest(0.0, sumIf(p.usd_0, p.usd_0 > 0) - max(p.usd_0)) AS usd_0,
    greatest(0.0, sumIf(p.usd_7, p.usd_7 > 0) - max(p.usd_7)) AS usd_7,
    greatest(0.0, sumIf(p.usd_30, p.usd_30 > 0) - max(p.usd_30)) AS usd_30
FROM pairs AS p
GROUP BY cluster_key;

-- What each payer cluster gives each identity in each category, and how much of it counts: its cap
-- is cap_least, and more for a cluster that bought elsewhere, by the logarithm of the USD.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_capped AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    weighed AS
    (
        SELECT
            identity_id,
            transform(category, ['task_quality', 'economic', 'identity_hygiene'], [1, 2, 3], 0)
                AS category_code,
            -- By hash: the three keys together then fit the engine's fast path.
            cityHash64(cluster_id) AS cluster_key,
            is_attested,
            weight = 0 AS is_excluded,
            reason_code = 1 AND usd < 0 AS is_unpriced,
            delta,
            age_days < model.window_days AS in_0,
            age_days >= 7 AND age_days < model.window_days + 7 AS in_7,
            age_days >= 30 AND age_days < model.window_days + 30 AS in_30,
            weight * exp2(-age_days / model.half_life_days) AS aged_weight,
            aged_weight * greatest(delta, 0.0) AS good,
            aged_weight * abs(delta) AS evidence
        FROM masques_ops.reputation_evidence(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')})
    ),
    by_cluster AS
    (
        SELECT
            identity_id,
            category_code,
            cluster_key,
            -- One sum over an array: each further aggregate function would touch millions of
            -- groups in memory once more, which costs more than the arithmetic.
            sumForEach([
                in_0 * good, in_7 * good, in_30 * good,
                in_0 * evidence, in_7 * evidence, in_30 * evidence,
                in_0, in_0 * (delta > 0), in_0 * (delta < 0), in_0 * is_excluded,
                in_0 * is_unpriced, is_attested]) AS sums
        FROM weighed AS w
        GROUP BY identity_id, category_code, cluster_key
    )
SELECT
    g.identity_id AS identity_id,
    g.category_code AS category_code,
    g.cluster_key AS cluster_key,
    g.sums[1] AS good_0,
    g.sums[2] * exp2(7 / model.half_life_days) AS good_7,
    g.sums[3] * exp2(30 / model.half_life_days) AS good_30,
    g.sums[4] AS evidence_0,
    g.sums[5] * exp2(7 / model.half_life_days) AS evidence_7,
    g.sums[6] * exp2(30 / model.half_life_days) AS evidence_30,
    toUInt64(g.sums[7]) AS events,
    toUInt64(g.sums[8]) AS positive,
    toUInt64(g.sums[9]) AS negative,
    toUInt64(g.sums[10]) AS excluded,
    toUInt64(g.sums[11]) AS unpriced,
    if(g.sums[12] > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_0))) AS cap_0,
    if(g.sums[12] > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_7))) AS cap_7,
    if(g.sums[12] > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_30))) AS cap_30,
    if(evidence_0 > cap_0, cap_0 / evidence_0, 1.0) AS counted_0,
    if(evidence_7 > cap_7, cap_7 / evidence_7, 1.0) AS counted_7,
    if(evidence_30 > cap_30, cap_30 / evidence_30, 1.0) AS counted_30
FROM by_cluster AS g
LEFT ANY JOIN masques_ops.reputation_spending(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS s
    ON s.cluster_key = g.cluster_key;

-- The scores of every identity at as_of, by what was known at known_at. This is the one computation
-- of scores in the project: the refreshable view, the schedule, questions about the past and the
-- tests all ask here. Beta reputation (Josang and Ismail 2002) with decay; docs/reputation.md has
-- the formula and the attacks it was made against.
--
-- The anchors 7 and 30 days ago are the same sums over shifted windows: a weight at an anchor is
-- today's weight times 2 ^ (anchor / half-life), so no event is read thrice.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_scores_at AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    model.share_task_quality * model.share_task_quality
        + model.share_economic * model.share_economic
        + model.share_identity_hygiene * model.share_identity_hygiene AS squared_shares,
    model.prior_score * (1 - model.prior_score) / (model.prior_weight + 1) AS prior_variance,
    by_category AS
    (
        SELECT
            identity_id,
            category_code,
            [0, 7, 30] AS anchors,
            [sum(counted_0 * good_0), sum(counted_7 * good_7), sum(counted_30 * good_30)] AS goods,
            [sum(counted_0 * evidence_0), sum(counted_7 * evidence_7),
                sum(counted_30 * evidence_30)] AS evidences,
            max(counted_0 * evidence_0) AS largest,
            countIf(evidence_0 > 0) AS clusters,
            sum(g.events) AS events,
            sum(g.positive) AS positive,
            sum(g.negative) AS negative,
            sum(g.excluded) AS excluded,
            sum(g.unpriced) AS unpriced
        FROM masques_ops.reputation_capped(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS g
        GROUP BY identity_id, category_code
    ),
    by_anchor AS
    (
        SELECT
            identity_id,
            category_code,
            anchor,
            evidence,
            [model.share_task_quality, model.share_economic, model.share_identity_hygiene]
                [category_code] AS share,
            (good + model.prior_weight * model.prior_score) / (evidence + model.prior_weight)
                - model.prior_score AS gain,
            evidence / (evidence + model.prior_weight) AS certainty,
            (model.prior_score + gain) * (1 - model.prior_score - gain)
                / (evidence + model.prior_weight + 1) - prior_variance AS variance_gain,
            largest, clusters, events, positive, negative, excluded, unpriced
        FROM by_category
        ARRAY JOIN anchors AS anchor, goods AS good, evidences AS evidence
        UNION ALL
        -- Who has no evidence has the prior.
        SELECT DISTINCT identity_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
        FROM masques.identities
        WHERE created_at <= as_of
    )
SELECT
    identity_id,
    as_of AS computed_at,
    model.prior_score + sumIf(share * gain, anchor = 0) AS overall_score,
    model.prior_score + sumIf(gain, anchor = 0 AND category_code = 1) AS task_quality_score,
    model.prior_score + sumIf(gain, anchor = 0 AND category_code = 2) AS economic_score,
    model.prior_score + sumIf(gain, anchor = 0 AND category_code = 3)
        AS identity_hygiene_score,
    toUInt64(sumIf(a.events, anchor = 0)) AS total_events,
    toUInt64(sumIf(a.positive, anchor = 0)) AS positive_events,
    toUInt64(sumIf(a.negative, anchor = 0)) AS negative_events,
    sumIf(share * certainty, anchor = 0) AS confidence,
    model.prior_score + sumIf(share * gain, anchor = 7) AS score_7d_ago,
    model.prior_score + sumIf(share * gain, anchor = 30) AS score_30d_ago,
    greatest(0.0, overall_score - model.lower_deviations * sqrt(
        squared_shares * prior_variance + sumIf(share * share * variance_gain, anchor = 0)))
        AS score_lower,
    sumIf(a.evidence, anchor = 0) AS effective_events,
    toUInt64(sumIf(a.excluded, anchor = 0)) AS excluded_events,
    model.version AS model_version,
    toUInt64(sumIf(a.unpriced, anchor = 0)) AS unpriced_events,
    toUInt64(maxIf(a.clusters, anchor = 0)) AS payer_clusters,
    if(effective_events > 0, maxIf(a.largest, anchor = 0) / effective_events, 0.0)
        AS largest_cluster_share
FROM by_anchor AS a
GROUP BY identity_id;

-- What a run at as_of gave: only what was known then.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_scores_as_of AS
SELECT *
FROM masques_ops.reputation_scores_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {as_of:DateTime64(9, 'UTC')});

-- How each event of the window moves the score, at as_of, by what was known at known_at. For one
-- identity the effects add up to overall_score less the prior.
CREATE VIEW IF NOT EXISTS masques_ops.reputation_contributions_at AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    contributing AS
    (
        SELECT
            e.*,
            transform(e.category, ['task_quality', 'economic', 'identity_hygiene'], [1, 2, 3], 0)
                AS code,
            e.weight * exp2(-e.age_days / model.half_life_days) AS aged_weight,
            c.cap_0 AS cap,
            c.counted_0 AS counted_share
        FROM masques_ops.reputation_evidence(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS e
        INNER JOIN masques_ops.reputation_capped(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS c
            ON c.identity_id = e.identity_id AND c.category_code = code
                AND c.cluster_key = cityHash64(e.cluster_id)
        WHERE e.age_days < model.window_days
    )
SELECT
    identity_id,
    category,
    event_type,
    timestamp,
    age_days,
    event_id,
    delta,
    quality,
    reason,
    grounding,
    aged_weight AS weight,
    counterparty_id,
    cluster_id,
    cap,
    counted_share,
    reference_type,
    reference_id,
    sum(counted_share * aged_weight * abs(delta)) OVER (PARTITION BY identity_id, code)
        AS category_evidence,
    [model.share_task_quality, model.share_economic, model.share_identity_hygiene][code]
        * counted_share * aged_weight * (greatest(delta, 0.0) - model.prior_score * abs(delta))
        / (category_evidence + model.prior_weight) AS effect
FROM contributing;

-- The scores of each day, for trends. A later run of the same day replaces the day's earlier row.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_scores_history
(
    day Date,
    identity_id UUID,
    computed_at DateTime64(9, 'UTC'),
    overall_score Float64,
    task_quality_score Float64,
    economic_score Float64,
    identity_hygiene_score Float64,
    confidence Float64,
    score_lower Float64,
    effective_events Float64,
    total_events UInt64,
    excluded_events UInt64,
    model_version LowCardinality(String)
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (day, identity_id)
TTL day + INTERVAL 2 YEAR;

-- The scores as people read them: with names, by rank, and with what moved.
CREATE VIEW IF NOT EXISTS masques_marts.reputation_ranking AS
SELECT
    row_number() OVER (ORDER BY s.score_lower DESC, s.identity_id) AS rank,
    s.identity_id AS identity_id,
    i.display_name AS display_name,
    i.identity_type AS identity_type,
    i.status AS status,
    s.overall_score AS overall_score,
    s.score_lower AS score_lower,
    s.confidence AS confidence,
    s.overall_score - s.score_7d_ago AS change_7d,
    s.overall_score - s.score_30d_ago AS change_30d,
    s.total_events AS total_events,
    s.excluded_events AS excluded_events,
    s.computed_at AS computed_at
FROM masques.reputation_scores AS s FINAL
LEFT ANY JOIN
(
    SELECT identity_id, display_name, identity_type, status
    FROM masques.identities FINAL
) AS i ON i.identity_id = s.identity_id;

-- How each event moved the newest scores; filter by identity_id.
CREATE VIEW IF NOT EXISTS masques_marts.reputation_contributions AS
SELECT *
FROM masques_ops.reputation_contributions_at(
    as_of = (SELECT max(computed_at) FROM masques.reputation_scores),
    known_at = (SELECT max(computed_at) FROM masques.reputation_scores));

-- From here on the refreshable view asks the one computation. It swaps the whole table in at once.
ALTER TABLE masques.reputation_scores_mv MODIFY QUERY
SELECT
    identity_id,
    computed_at,
    overall_score,
    task_quality_score,
    economic_score,
    identity_hygiene_score,
    total_events,
    positive_events,
    negative_events,
    confidence,
    score_7d_ago,
    score_30d_ago,
    score_lower,
    effective_events,
    excluded_events,
    model_version
FROM masques_ops.reputation_scores_as_of(as_of = now64(9, 'UTC'));
