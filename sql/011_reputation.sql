-- The reputation model and what its runs write down. A run (masques_pipelines/reputation/facts.py)
-- looks only at what changed since the last one and writes, in this order:
--   payer_clusters            whose money came first, once for each party
--   reputation_parties        the payer cluster of each party, and the ids that it shares with others
--   reputation_touched_*      which payments, references and events something new refers to
--   reputation_references     what those references prove now, where that changed
--   reputation_evidence_log   what those events weigh now, where that changed
--   reputation_runs           that it came to its end
-- The scores are made of the log alone (and of what payer clusters bought): reputation_scores_at in
-- 096.
--
-- Scores are floats. Money is exact up to the one product or quotient that makes it a weight.

-- The parameters of the model. The latest row wins; scores name the version that made them.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_models
(
    model_version String COMMENT 'name of the version; scores carry it',
    loaded_at DateTime64(6, 'UTC') COMMENT 'in force from here on',
    half_life_days Float64 COMMENT 'evidence weighs half after this long',
    window_days Float64 COMMENT 'evidence older than this counts zero',
    share_task_quality Float64 COMMENT 'the three shares add up to 1',
    share_economic Float64 COMMENT 'share of the category economic in the overall score',
    share_identity_hygiene Float64 COMMENT 'share of the category identity_hygiene in the overall score',
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
    other_unfunding_types Array(String) COMMENT 'further transfers that fund nobody',
    heirs_most Float64
        COMMENT 'a suspended identity passes its bad judgements on through an id or a purse that at most so many others share; 0: never'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (loaded_at, model_version)
COMMENT 'The parameters of the reputation model. One row per version; the latest row wins.';

-- The packaged model, so that scores can be asked before any run; reputation/model.yaml says the same.
INSERT INTO masques_ops.reputation_models
(
    model_version, loaded_at, half_life_days, window_days, share_task_quality, share_economic,
    share_identity_hygiene, prior_weight, prior_score, lower_deviations, cap_least, cap_most,
    cap_attestor, weight_plain, weight_ungrounded, dust_usd, dust_least, rate_age_max_days,
    attestors, platform_account_types, purchase_types, other_unfunding_types, heirs_most
)
SELECT
    'beta-2', toDateTime64(0, 6, 'UTC'), 30, 90, 0.40, 0.35, 0.25, 10, 0.5, 1.645, 1, 5, 50, 0.5,
    0.2, 0.01, 0.1, 7, [toUUID('b66f28e4-5f35-5b02-84a3-df8135e0a8ed')],
    ['treasury', 'platform_fee', 'escrow'],
    ['masque_session', 'api_call', 'escrow_hold', 'escrow_release'],
    ['fee', 'refund', 'settlement'], 20
WHERE (SELECT count() FROM masques_ops.reputation_models) = 0;

-- What one unit of a currency was worth in USD. USD itself needs no row.
CREATE TABLE IF NOT EXISTS masques_ops.exchange_rates
(
    currency LowCardinality(String) COMMENT 'currency that is quoted',
    quoted_at DateTime64(9, 'UTC') COMMENT 'holds from here until the next quote',
    usd Decimal(38, 18) COMMENT 'USD for one whole unit of the currency',
    source String COMMENT 'the file that brought it',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was loaded into this warehouse'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (currency, quoted_at)
TTL toDate(quoted_at) + INTERVAL 7 YEAR
COMMENT 'What one unit of a currency was worth in USD, by time. USD itself needs no row. Filled from the landing zone.';

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
ORDER BY party_id
COMMENT 'Who first funded whom, followed back to the beginning. One row per party, never changed.';

-- Who is who. Every account has a row; an identity only when it is not simply its own cluster. A new
-- row is written when something of it changed.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_parties
(
    is_account UInt8 COMMENT '1 for an account, 0 for an identity',
    party_id UUID COMMENT 'the account, or the identity',
    known_from DateTime64(6, 'UTC') COMMENT 'when the row was written; scores of earlier moments do not use it',
    cluster_id UUID COMMENT 'the payer cluster; zero for an account of the platform',
    shared_ids Array(UInt64) COMMENT 'hashes of external ids that other identities have too'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (is_account, party_id, known_from)
COMMENT 'The payer cluster of each account and identity. A new row is appended when something changed.';

-- What a reference of a reputation event proves. A new row is written when something of it changed.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_references
(
    reference_key UInt64 COMMENT 'sipHash64(reference_type, reference_id as UUID)',
    known_from DateTime64(6, 'UTC') COMMENT 'when the row was written; scores of earlier moments do not use it',
    state LowCardinality(String)
        COMMENT 'money, plain, settled, settling, refunded or reorged: see docs/reputation.md',
    payer_id UUID COMMENT 'who paid, or wore the masque; zero when unknown or the platform',
    payee_id UUID COMMENT 'who was paid; zero when unknown or the platform',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    kept_share Float64 COMMENT 'the share of the payment that was not given back',
    content UInt64 COMMENT 'hash of the four columns above'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (reference_key, known_from)
COMMENT 'What each reference of a reputation event proves. A new row is appended when something changed.';

-- The keys that each identity was seen with.
CREATE TABLE IF NOT EXISTS masques_ops.identity_keys
(
    identity_id UUID COMMENT 'the identity',
    key String COMMENT 'attribute key_id or public_key of the identity',
    seen_at DateTime64(9, 'UTC') COMMENT 'updated_at of the first version that had it'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (identity_id, key)
COMMENT 'The keys that each identity was seen with. One row per identity and key.';

-- Runs that wrote the facts to their end. What came in since the newest one began is new.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_runs
(
    began_at DateTime64(6, 'UTC') COMMENT 'when the run began',
    is_full UInt8 COMMENT 'everything was compared, not only what was new',
    model_version String COMMENT 'version of the reputation model in force',
    ended_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'when the run had written all facts'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY began_at
TTL toDate(began_at) + INTERVAL 1 YEAR WHERE is_full = 0
COMMENT 'Reputation runs that wrote all their facts. Rows that came in after the latest one began are new to the next.';

-- What a run has to look at; emptied when one begins.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_transfers
(
    transfer_id UUID COMMENT 'a payment, or the hold that it posted'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY transfer_id
COMMENT 'Payments that the reputation run has to look at. Emptied when a run begins.';

CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_references
(
    kind LowCardinality(String) COMMENT 'session, request, settlement or transaction',
    id UUID COMMENT 'id of the thing referred to'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (kind, id)
COMMENT 'References that the reputation run has to look at. Emptied when a run begins.';

CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_links
(
    reference_key UInt64 COMMENT 'sipHash64(kind, id)',
    kind LowCardinality(String) COMMENT 'session, request, settlement or transaction',
    id UUID COMMENT 'id of the thing referred to',
    transaction_id UUID COMMENT 'the payment that the reference leads to, or its hold; else zero',
    payer_id UUID COMMENT 'who wore the masque or asked; zero when unknown',
    payee_id UUID COMMENT 'who is paid for the masque; zero when unknown',
    status LowCardinality(String) COMMENT 'of a settlement'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY reference_key
COMMENT 'Where the references of the run lead. Emptied when a run begins.';

CREATE TABLE IF NOT EXISTS masques_ops.reputation_touched_events
(
    event_id UUID COMMENT 'the reputation event'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY event_id
COMMENT 'Events that the reputation run has to look at. Emptied when a run begins.';

-- What each event weighs, before it ages. A log: rows are never changed. When an event comes to weigh
-- something else, a cancelling row (sign = -1) and the new row are appended. So a sum over the rows
-- known at some time is what was known then, in whatever order they lie.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_evidence_log
(
    identity_id UUID COMMENT 'whose score the evidence counts for',
    category_code UInt8 COMMENT '1 task_quality, 2 economic, 3 identity_hygiene',
    cluster_key UInt64 COMMENT 'cityHash64(cluster_id)',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the event happened',
    sign Int8 COMMENT '1, or -1 for a row that cancels an earlier one',
    known_from DateTime64(6, 'UTC') COMMENT 'when the row was written; scores of earlier moments do not use it',
    reason_code UInt8
        COMMENT '1 money, 2 plain, 3 attested, 4 ungrounded, 5 self_dealing, 6 refunded, 7 reorged, 8 contradicted',
    is_attested UInt8 COMMENT 'the word of the platform',
    delta Float64 COMMENT 'score_delta, clamped',
    quality Float64 COMMENT 'confidence, clamped',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    kept_share Float64 COMMENT 'the share of the payment that was not given back',
    event_id UUID COMMENT 'the reputation event',
    event_type LowCardinality(String) COMMENT 'what happened, for instance task_completed or hold_expired',
    reference_type LowCardinality(String) COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String COMMENT 'id of what the event is about, by reference_type; empty for nothing',
    reference_key UInt64 COMMENT 'sipHash64(reference_type, reference_id as UUID)',
    counterparty_id UUID COMMENT 'the other side of the reference, else the one reported',
    cluster_id UUID COMMENT 'the payer cluster of the counterparty',
    inherited_from UUID COMMENT 'whom the event is about, when that is not identity_id; else zero'
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (identity_id, category_code, cluster_key)
TTL toDate(timestamp) + INTERVAL 3 YEAR
COMMENT 'What each reputation event weighs, before it ages. A log: a change appends a cancelling row (sign = -1) and the new row, so always sum with sign.';

-- The scores of each day, for trends. A later run of the same day replaces the day's earlier row.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_scores_history
(
    day Date COMMENT 'day of the scores, UTC',
    identity_id UUID COMMENT 'whose score',
    computed_at DateTime64(9, 'UTC') COMMENT 'the moment that the scores are of',
    overall_score Float64 COMMENT 'all scores: 0 to 1, 0.5 without evidence',
    task_quality_score Float64 COMMENT 'score of the category task_quality, 0 to 1',
    economic_score Float64 COMMENT 'score of the category economic, 0 to 1',
    identity_hygiene_score Float64 COMMENT 'score of the category identity_hygiene, 0 to 1',
    confidence Float64 COMMENT '0 to 1; 0 without evidence, falls as evidence ages',
    score_lower Float64 COMMENT 'rank by this: overall_score less 1.645 standard deviations',
    effective_events Float64 COMMENT 'evidence after decay, weights and caps',
    total_events UInt64 COMMENT 'events in the window',
    excluded_events UInt64 COMMENT 'events that count zero',
    model_version LowCardinality(String) COMMENT 'version of the reputation model that made the score'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(day)
ORDER BY (day, identity_id)
TTL day + INTERVAL 2 YEAR
COMMENT 'The scores of each day, for trends. A later run of the same day replaces the earlier row. Read it with FINAL.';
