-- Reputation, faster and harder to cheat. What each event is worth is written down once, as a log in
-- the order in which the scores read it, so that a refresh is one aggregation without a join to what
-- references prove, and a run looks only at what changed since the last one. Bad judgements of a
-- suspended identity follow whoever is the same person. A re-run changes nothing.
--
-- A run writes (sql/transforms/reputation/, masques_pipelines/reputation/facts.py):
--   reputation_touched_*      which payments, references and events something new speaks of
--   reputation_references     what those references prove now, where that changed
--   reputation_evidence_log   what those events weigh now, where that changed
--   reputation_runs           that it came to its end
-- The scores are made of the log alone (and of what payer clusters bought): reputation_scores_at.

-- A parameter more of a model. A version never changes its meaning, so one without a row here inherits
-- nothing. (A column of reputation_models it cannot be: 011 inserts into that by place, and every file
-- may run again.)
CREATE TABLE IF NOT EXISTS masques_ops.reputation_model_heirs
(
    model_version String,
    heirs_most Float64
        COMMENT 'a suspended identity passes its bad judgements on through an id or a purse that at most so many others share; 0: never'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY model_version;

-- The packaged model, wherever the one before it is in force; reputation/model.yaml says the same.
INSERT INTO masques_ops.reputation_model_heirs
SELECT 'beta-2', 20
WHERE 'beta-2' NOT IN (SELECT model_version FROM masques_ops.reputation_model_heirs);

INSERT INTO masques_ops.reputation_models
SELECT * REPLACE ('beta-2' AS model_version, now64(6, 'UTC') AS loaded_at)
FROM masques_ops.reputation_models AS m
WHERE m.model_version = 'beta-1' AND (m.loaded_at, m.model_version) IN
(
    SELECT loaded_at, model_version
    FROM masques_ops.reputation_models
    ORDER BY loaded_at DESC, model_version DESC
    LIMIT 1
);

CREATE OR REPLACE VIEW masques_ops.reputation_model AS
SELECT
    m.model_version AS model_version,
    CAST(
        tuple(half_life_days, window_days, share_task_quality, share_economic,
            share_identity_hygiene, prior_weight, prior_score, lower_deviations, cap_least,
            cap_most, cap_attestor, weight_plain, weight_ungrounded, dust_usd, dust_least,
            rate_age_max_days, attestors, platform_account_types, purchase_types,
            other_unfunding_types, h.heirs_most, m.model_version),
        'Tuple(half_life_days Float64, window_days Float64, share_task_quality Float64, share_economic Float64, share_identity_hygiene Float64, prior_weight Float64, prior_score Float64, lower_deviations Float64, cap_least Float64, cap_most Float64, cap_attestor Float64, weight_plain Float64, weight_ungrounded Float64, dust_usd Float64, dust_least Float64, rate_age_max_days Float64, attestors Array(UUID), platform_account_types Array(String), purchase_types Array(String), other_unfunding_types Array(String), heirs_most Float64, version String)')
        AS model
FROM masques_ops.reputation_models AS m
LEFT ANY JOIN masques_ops.reputation_model_heirs AS h ON h.model_version = m.model_version
WHERE m.loaded_at <= {known_at:DateTime64(9, 'UTC')}
ORDER BY m.loaded_at DESC, m.model_version DESC
LIMIT 1;

-- Runs that wrote the facts to their end. What came in since the newest one began is new.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_runs
(
    began_at DateTime64(6, 'UTC'),
    is_full UInt8 COMMENT 'everything was compared, not only what was new',
    model_version String,
    ended_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY began_at
TTL toDate(began_at) + INTERVAL 1 YEAR WHERE is_full = 0;

-- What a run has to look at; emptied when one begins.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_transfers
(
    transfer_id UUID COMMENT 'a payment, or the hold that it posted'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY transfer_id;

CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_references
(
    kind LowCardinality(String),
    id UUID
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (kind, id);

CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_links
(
    reference_key UInt64,
    kind LowCardinality(String),
    id UUID,
    transaction_id UUID COMMENT 'the payment that the reference leads to, or its hold; else zero',
    payer_id UUID,
    payee_id UUID,
    status LowCardinality(String) COMMENT 'of a settlement'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY reference_key;

CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_events
(
    event_id UUID
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY event_id;

-- What each event weighs, before it ages. A log: rows are never changed. When an event comes to weigh
-- something else, one row takes the old word back (sign -1) and one says the new. So a sum over the
-- rows known at some time is what was known then, in whatever order they lie.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_evidence_log
(
    identity_id UUID,
    category_code UInt8 COMMENT '1 task_quality, 2 economic, 3 identity_hygiene',
    cluster_key UInt64 COMMENT 'cityHash64(cluster_id)',
    timestamp DateTime64(9, 'UTC'),
    sign Int8 COMMENT '1, or -1: what an earlier row said is no longer so',
    known_from DateTime64(6, 'UTC'),
    reason_code UInt8
        COMMENT '1 money, 2 plain, 3 attested, 4 ungrounded, 5 self_dealing, 6 refunded, 7 reorged, 8 contradicted',
    is_attested UInt8 COMMENT 'the word of the platform',
    delta Float64 COMMENT 'score_delta, clamped',
    quality Float64 COMMENT 'confidence, clamped',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    kept_share Float64 COMMENT 'the share of the payment that was not given back',
    event_id UUID,
    event_type LowCardinality(String),
    reference_type LowCardinality(String),
    reference_id String,
    reference_key UInt64 COMMENT 'sipHash64(reference_type, reference_id as UUID)',
    counterparty_id UUID COMMENT 'the other side of the reference, else the one reported',
    cluster_id UUID COMMENT 'the payer cluster of the counterparty',
    inherited_from UUID COMMENT 'whom the event is about, when that is not identity_id; else zero'
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (identity_id, category_code, cluster_key)
TTL toDate(timestamp) + INTERVAL 3 YEAR;

-- Posted payments for something that this run has to look at, as known now, by their own id and by
-- that of the hold that they posted. usd is what was not given back, -1 when there is no rate. A
-- refund goes back to the account that paid, under the same trace; several payments of one trace
-- share it. A payment whose settlement failed on its rail, and has no other that is final, is failed.
-- A side that belongs to the platform is the zero id: the platform is no counterparty.
CREATE OR REPLACE VIEW masques_ops.reputation_payments AS
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
ASOF LEFT JOIN rates AS rate ON rate.currency = p.currency AND p.timestamp >= rate.quoted_at;

-- Where references lead that this run has to look at, and who is known to be on either side.
CREATE OR REPLACE VIEW masques_ops.reputation_links_now AS
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
WHERE id != nobody;

-- What those references prove, as known now.
CREATE OR REPLACE VIEW masques_ops.reputation_references_now AS
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
    SELECT *
    FROM masques_ops.reputation_touched_links
    LIMIT 1 BY reference_key
) AS l
LEFT ANY JOIN masques_ops.reputation_payments AS p ON p.transfer_id = l.transaction_id
WHERE l.kind != 'transaction' OR p.transfer_id != nobody;

DROP VIEW IF EXISTS masques_ops.reputation_evidence;

-- The events that this run has to look at, each once, with what its reference proves and what it
-- therefore weighs before it ages, as known now; in as many parts as memory asks for. An event that
-- came twice counts once; of copies that disagree the earliest speaks.
--
-- reason  money         the reference is a posted payment, and the identity is a side of it: 1, less
--                       for dust, and only for the part that was not given back
--         plain         a session or request of theirs that moved no money: weight_plain
--         attested      the word of the platform: 1
--         ungrounded    the reference proves nothing: weight_ungrounded
--         self_dealing, refunded, reorged, contradicted: 0
-- The counterparty is the other side of the reference where it names one; else the one reported.
CREATE OR REPLACE VIEW masques_ops.reputation_evidence_now AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    -- By hash: half the memory; an event that only shares the hash takes the longer way unharmed.
    repeated AS
    (
        SELECT cityHash64(event_id) AS event_hash
        FROM masques.reputation_events
        WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
            AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
        GROUP BY event_hash
        HAVING count() > 1
    ),
    events AS
    (
        SELECT
            event_id, timestamp, identity_id, category, event_type, score_delta, confidence,
            reference_type, reference_id, attributes['counterparty_id'] AS counterparty,
            ingested_at
        FROM masques.reputation_events
        WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
            AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
            AND cityHash64(event_id) NOT IN (SELECT event_hash FROM repeated)
        UNION ALL
        SELECT
            event_id, first.1, first.3, first.4, first.5, first.6, first.7, first.8, first.9,
            first.10, first.2
        FROM
        (
            SELECT
                event_id,
                min((timestamp, ingested_at, identity_id, toString(category), toString(event_type),
                    score_delta, confidence, toString(reference_type), reference_id,
                    attributes['counterparty_id'])) AS first
            FROM masques.reputation_events
            WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
                AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                    OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
                AND cityHash64(event_id) IN (SELECT event_hash FROM repeated)
            GROUP BY event_id
        )
    ),
    read AS
    (
        SELECT
            event_id,
            timestamp,
            ingested_at,
            identity_id,
            transform(category, ['task_quality', 'economic', 'identity_hygiene'], [1, 2, 3], 0)
                AS category_code,
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
        WHERE category_code > 0
    ),
    -- In the order of the tables, so that the newest row of each is found without a sort.
    references AS
    (
        SELECT reference_key, known_from, state, payer_id, payee_id, usd, kept_share
        FROM masques_ops.reputation_references
        WHERE reference_key IN
        (
            SELECT sipHash64(toString(e.reference_type), toUUIDOrZero(e.reference_id))
            FROM masques.reputation_events AS e
            WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
                AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                    OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
                AND e.reference_type NOT IN ('', 'attestation')
        )
        ORDER BY reference_key DESC, known_from DESC
        LIMIT 1 BY reference_key
    ),
    parties AS
    (
        SELECT party_id, known_from, cluster_id, shared_ids
        FROM masques_ops.reputation_parties
        WHERE is_account = 0
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    referring AS
    (
        SELECT
            e.*,
            r.known_from AS proved_from,
            r.state AS state,
            r.payer_id AS payer_id,
            r.payee_id AS payee_id,
            r.usd AS usd,
            r.kept_share AS kept_share,
            state != '' AND e.identity_id != nobody
                AND (e.identity_id = r.payer_id OR e.identity_id = r.payee_id) AS is_side,
            multiIf(
                is_side AND e.identity_id = r.payer_id AND r.payee_id != nobody, r.payee_id,
                is_side AND e.identity_id = r.payee_id AND r.payer_id != nobody, r.payer_id,
                e.reported_id) AS counterparty_id
        FROM read AS e
        LEFT ANY JOIN references AS r ON r.reference_key = e.reference_key
    ),
    acquainted AS
    (
        SELECT
            e.*,
            greatest(toDateTime64(e.ingested_at, 6, 'UTC'), e.proved_from, subject.known_from,
                counterparty.known_from) AS knowable_from,
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
    identity_id,
    category_code,
    cityHash64(cluster_id) AS cluster_key,
    timestamp,
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
    is_attested,
    delta,
    quality,
    if(reason_code = 1, usd, 0.0) AS usd,
    if(reason_code = 1, kept_share, 1.0) AS kept_share,
    event_id,
    event_type,
    reference_type,
    reference_id,
    reference_key,
    counterparty_id,
    cluster_id,
    nobody AS inherited_from,
    knowable_from,
    sipHash128(identity_id, category_code, cluster_id, timestamp, reason_code, is_attested, delta,
        quality, usd, kept_share, event_id, toString(event_type), toString(reference_type),
        reference_id, counterparty_id, inherited_from) AS content
FROM acquainted;

-- The log, with the content by which a run compares it. Rows that were taken back are still in it.
CREATE OR REPLACE VIEW masques_ops.reputation_evidence_said AS
SELECT
    *,
    sipHash128(identity_id, category_code, cluster_id, timestamp, reason_code, is_attested, delta,
        quality, usd, kept_share, event_id, toString(event_type), toString(reference_type),
        reference_id, counterparty_id, inherited_from) AS content
FROM masques_ops.reputation_evidence_log;

-- Who is who, as known now. The cluster of a party is where its money came from: the ledger's first
-- funder, and behind that the wallet whose settlement first arrived, when one is known.
CREATE OR REPLACE VIEW masques_ops.reputation_parties_now AS
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
GROUP BY is_account, party_id, funder_id;

-- What each payer cluster paid each other one in the window of each anchor, in USD, by what was known
-- then. Refunds count back.
CREATE OR REPLACE VIEW masques_ops.reputation_flows AS
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
    )
SELECT
    cluster_key,
    seller_cluster_key,
    sumIf(p.usd, age_days < model.window_days) AS usd_0,
    sumIf(p.usd, age_days >= 7 AND age_days < model.window_days + 7) AS usd_7,
    sumIf(p.usd, age_days >= 30) AS usd_30
FROM priced AS p
GROUP BY cluster_key, seller_cluster_key;

-- What each payer cluster bought beyond its main seller, in USD. Money that goes to one seller says
-- little about the payer, and money that comes back says nothing: between two clusters only what one
-- paid more than the other counts.
CREATE OR REPLACE VIEW masques_ops.reputation_spending AS
WITH
    between AS
    (
        SELECT
            least(cluster_key, seller_cluster_key) AS one,
            greatest(cluster_key, seller_cluster_key) AS other,
            sum(if(cluster_key = one, f.usd_0, -f.usd_0)) AS net_0,
            sum(if(cluster_key = one, f.usd_7, -f.usd_7)) AS net_7,
            sum(if(cluster_key = one, f.usd_30, -f.usd_30)) AS net_30
        FROM masques_ops.reputation_flows(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS f
        GROUP BY one, other
    ),
    sides AS
    (
        SELECT arrayJoin([(one, net_0, net_7, net_30), (other, -net_0, -net_7, -net_30)]) AS side
        FROM between
    )
SELECT
    side.1 AS cluster_key,
    sum(greatest(0.0, side.2)) - greatest(0.0, max(side.2)) AS usd_0,
    sum(greatest(0.0, side.3)) - greatest(0.0, max(side.3)) AS usd_7,
    sum(greatest(0.0, side.4)) - greatest(0.0, max(side.4)) AS usd_30
FROM sides
GROUP BY cluster_key;

-- What each payer cluster gives each identity in each category, and how much of it counts: its cap
-- is cap_least, and more for a cluster that bought elsewhere, by the logarithm of the USD.
CREATE OR REPLACE VIEW masques_ops.reputation_capped AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(timestamp)) / 86400e9 AS age_days,
    sign * (age_days < model.window_days) AS in_0,
    sign * (age_days >= 7 AND age_days < model.window_days + 7) AS in_7,
    sign * (age_days >= 30) AS in_30,
    -- What it weighs by its reason, and how much that is worth by its age.
    multiIf(
        reason_code = 1, kept_share * if(usd < 0, 1.0,
            greatest(model.dust_least, least(1.0, usd / model.dust_usd))),
        reason_code = 2, model.weight_plain,
        reason_code = 3, 1.0,
        reason_code = 4, model.weight_ungrounded,
        0.0) AS grounding,
    quality * grounding * exp2(-age_days / model.half_life_days) * abs(delta) AS worth,
    by_cluster AS
    (
        SELECT
            identity_id,
            category_code,
            cluster_key,
            sum(in_0 * worth * (delta > 0)) AS good_0,
            sum(in_7 * worth * (delta > 0)) AS good_7,
            sum(in_30 * worth * (delta > 0)) AS good_30,
            sum(in_0 * worth) AS evidence_0,
            sum(in_7 * worth) AS evidence_7,
            sum(in_30 * worth) AS evidence_30,
            sum(sign * is_attested) AS attested
        FROM masques_ops.reputation_evidence_log
        WHERE known_from <= {known_at:DateTime64(9, 'UTC')}
            AND timestamp > as_of - toIntervalSecond((model.window_days + 30) * 86400)
            AND timestamp <= as_of
        GROUP BY identity_id, category_code, cluster_key
        -- What was taken back leaves no trace, not even a rounding error.
        HAVING sum(sign) != 0
    )
SELECT
    g.identity_id AS identity_id,
    g.category_code AS category_code,
    g.cluster_key AS cluster_key,
    g.good_0 AS good_0,
    g.good_7 * exp2(7 / model.half_life_days) AS good_7,
    g.good_30 * exp2(30 / model.half_life_days) AS good_30,
    g.evidence_0 AS evidence_0,
    g.evidence_7 * exp2(7 / model.half_life_days) AS evidence_7,
    g.evidence_30 * exp2(30 / model.half_life_days) AS evidence_30,
    if(g.attested > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_0))) AS cap_0,
    if(g.attested > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_7))) AS cap_7,
    if(g.attested > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_30))) AS cap_30,
    if(evidence_0 > cap_0, cap_0 / evidence_0, 1.0) AS counted_0,
    if(evidence_7 > cap_7, cap_7 / evidence_7, 1.0) AS counted_7,
    if(evidence_30 > cap_30, cap_30 / evidence_30, 1.0) AS counted_30
FROM by_cluster AS g
LEFT ANY JOIN masques_ops.reputation_spending(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS s
    ON s.cluster_key = g.cluster_key;

-- How many events each identity has in the window, and of what kind.
CREATE OR REPLACE VIEW masques_ops.reputation_counted AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    sign * (timestamp > as_of - toIntervalSecond(model.window_days * 86400)) AS in_window
SELECT
    identity_id,
    sum(in_window) AS events,
    sum(in_window * (delta > 0)) AS positive,
    sum(in_window * (delta < 0)) AS negative,
    sum(in_window * (quality = 0 OR reason_code >= 5
        OR reason_code = 1 AND kept_share = 0
        OR reason_code = 1 AND usd >= 0 AND usd <= 0 AND model.dust_least = 0
        OR reason_code = 2 AND model.weight_plain = 0
        OR reason_code = 4 AND model.weight_ungrounded = 0)) AS excluded,
    sum(in_window * (reason_code = 1 AND usd < 0)) AS unpriced
FROM masques_ops.reputation_evidence_log
WHERE known_from <= {known_at:DateTime64(9, 'UTC')}
    AND timestamp > as_of - toIntervalSecond((model.window_days + 30) * 86400)
    AND timestamp <= as_of
GROUP BY identity_id
HAVING sum(sign) != 0;

-- The scores of every identity at as_of, by what was known at known_at. This is the one computation
-- of scores in the project: the refreshable view, the schedule, questions about the past and the
-- tests all ask here. Beta reputation (Josang and Ismail 2002) with decay; docs/reputation.md has
-- the formula and the attacks it was made against.
--
-- The anchors 7 and 30 days ago are the same sums over shifted windows: a weight at an anchor is
-- today's weight times 2 ^ (anchor / half-life), so no event is read thrice.
CREATE OR REPLACE VIEW masques_ops.reputation_scores_at AS
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
            countIf(evidence_0 > 0) AS clusters
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
            largest, clusters, 0 AS events, 0 AS positive, 0 AS negative, 0 AS excluded, 0 AS unpriced
        FROM by_category
        ARRAY JOIN anchors AS anchor, goods AS good, evidences AS evidence
        UNION ALL
        SELECT
            identity_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, c.events, c.positive, c.negative, c.excluded,
            c.unpriced
        FROM masques_ops.reputation_counted(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS c
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

-- How each event of the window moves the score, at as_of, by what was known at known_at. For one
-- identity the effects add up to overall_score less the prior.
CREATE OR REPLACE VIEW masques_ops.reputation_contributions_at AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    -- Rows that were taken back, and those that took them back, are left out in pairs.
    said AS
    (
        SELECT content, sum(l.sign) AS times, any(l.identity_id) AS identity_id,
            any(l.category_code) AS category_code, any(l.cluster_key) AS cluster_key,
            any(l.timestamp) AS timestamp, any(l.reason_code) AS reason_code, any(l.delta) AS delta,
            any(l.quality) AS quality, any(l.usd) AS usd, any(l.kept_share) AS kept_share,
            any(l.event_id) AS event_id, any(l.event_type) AS event_type,
            any(l.reference_type) AS reference_type, any(l.reference_id) AS reference_id,
            any(l.counterparty_id) AS counterparty_id, any(l.cluster_id) AS cluster_id,
            any(l.inherited_from) AS inherited_from
        FROM masques_ops.reputation_evidence_said AS l
        WHERE l.known_from <= {known_at:DateTime64(9, 'UTC')} AND l.timestamp <= as_of
            AND l.timestamp > as_of - toIntervalSecond(model.window_days * 86400)
        GROUP BY l.identity_id, content
        HAVING times != 0
    ),
    contributing AS
    (
        SELECT
            e.*,
            (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(e.timestamp)) / 86400e9
                AS age_days,
            ['money', 'plain', 'attested', 'ungrounded', 'self_dealing', 'refunded', 'reorged',
                'contradicted'][e.reason_code] AS reason,
            multiIf(
                e.reason_code = 1, e.kept_share * if(e.usd < 0, 1.0,
                    greatest(model.dust_least, least(1.0, e.usd / model.dust_usd))),
                e.reason_code = 2, model.weight_plain,
                e.reason_code = 3, 1.0,
                e.reason_code = 4, model.weight_ungrounded,
                0.0) AS grounding,
            e.quality * grounding * exp2(-age_days / model.half_life_days) AS aged_weight,
            c.cap_0 AS cap,
            c.counted_0 AS counted_share
        FROM said AS e
        INNER JOIN masques_ops.reputation_capped(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS c
            ON c.identity_id = e.identity_id AND c.category_code = e.category_code
                AND c.cluster_key = e.cluster_key
    )
SELECT
    identity_id,
    ['task_quality', 'economic', 'identity_hygiene'][category_code] AS category,
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
    inherited_from,
    sum(counted_share * aged_weight * abs(delta)) OVER (PARTITION BY identity_id, category_code)
        AS category_evidence,
    [model.share_task_quality, model.share_economic, model.share_identity_hygiene][category_code]
        * counted_share * aged_weight * (greatest(delta, 0.0) - model.prior_score * abs(delta))
        / (category_evidence + model.prior_weight) AS effect
FROM contributing;

-- How each event moved the newest scores; filter by identity_id.
CREATE OR REPLACE VIEW masques_marts.reputation_contributions AS
SELECT *
FROM masques_ops.reputation_contributions_at(
    as_of = (SELECT max(computed_at) FROM masques.reputation_scores),
    known_at = (SELECT max(computed_at) FROM masques.reputation_scores));

-- The refreshable view asks the one computation. Up to a gigabyte of groups stay in memory, about ten
-- million; more go by the disk. It swaps the whole table in at once.
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
FROM masques_ops.reputation_scores_as_of(as_of = now64(9, 'UTC'))
SETTINGS max_bytes_before_external_group_by = 1000000000, max_bytes_ratio_before_external_group_by = 0;

-- Who inherits from whom: a suspended or revoked identity, and a newer one that shares an external id
-- or the payer cluster with it. What more than heirs_most others share says little: the wallet of an
-- exchange funds many people. Only newer ones, or anybody could take an id of somebody and be
-- suspended with it.
CREATE OR REPLACE VIEW masques_ops.reputation_heirs AS
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
WHERE heir.2 > suspended.2;

-- Where to look twice: identities most of whose income comes from one payer cluster, or whose money
-- goes round through one or two others. A flow counts for a ring from a tenth of the payee's income.
CREATE OR REPLACE VIEW masques_marts.reputation_flags AS
WITH
    (SELECT max(computed_at) FROM masques.reputation_scores) AS as_of,
    flows AS
    (
        SELECT cluster_key AS payer, seller_cluster_key AS payee, usd_0 AS usd
        FROM masques_ops.reputation_flows(
            as_of = (SELECT max(computed_at) FROM masques.reputation_scores),
            known_at = (SELECT max(computed_at) FROM masques.reputation_scores))
        WHERE usd_0 > 0
    ),
    weighty AS
    (
        SELECT f.payer AS payer, f.payee AS payee, f.usd AS usd, f.usd / i.income AS share
        FROM flows AS f
        INNER JOIN
        (
            SELECT payee, sum(usd) AS income FROM flows GROUP BY payee
        ) AS i ON i.payee = f.payee
        WHERE share >= 0.1
    ),
    found AS
    (
        SELECT payee AS cluster_key, 'single_payer' AS flag, share, [payer] AS through
        FROM weighty
        WHERE share > 0.5
        UNION ALL
        SELECT a.payee, 'ring_of_2', a.share, [a.payer]
        FROM weighty AS a
        INNER JOIN weighty AS b ON b.payer = a.payee AND b.payee = a.payer
        UNION ALL
        SELECT a.payee, 'ring_of_3', a.share, [c.payer, a.payer]
        FROM weighty AS a
        INNER JOIN weighty AS b ON b.payer = a.payee
        INNER JOIN weighty AS c ON c.payer = b.payee AND c.payee = a.payer
        WHERE b.payee != a.payer
    ),
    parties AS
    (
        SELECT party_id, cityHash64(cluster_id) AS cluster_key
        FROM masques_ops.reputation_parties
        WHERE is_account = 0 AND known_from <= as_of
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    known AS
    (
        SELECT
            s.identity_id AS identity_id,
            if(p.party_id = s.identity_id, p.cluster_key, cityHash64(s.identity_id)) AS cluster_key
        FROM masques.reputation_scores AS s FINAL
        LEFT ANY JOIN parties AS p ON p.party_id = s.identity_id
    )
SELECT
    k.identity_id AS identity_id,
    f.flag AS flag,
    f.share AS income_share,
    arrayMap(x -> toString(x), f.through) AS through_clusters
FROM found AS f
INNER JOIN known AS k ON k.cluster_key = f.cluster_key;
