-- Evidence is weighed by what it would cost to make up (docs/reputation.md). What the model before kept
-- about parties and references is not kept any more: a run looks it up for the events that it weighs.
DROP VIEW IF EXISTS masques_marts.reputation_flags;
DROP VIEW IF EXISTS masques_ops.reputation_payments;
DROP VIEW IF EXISTS masques_ops.reputation_links_now;
DROP VIEW IF EXISTS masques_ops.reputation_references_now;
DROP VIEW IF EXISTS masques_ops.reputation_parties_now;
DROP VIEW IF EXISTS masques_ops.reputation_heirs;
DROP VIEW IF EXISTS masques_ops.reputation_evidence_recorded;
DROP VIEW IF EXISTS masques_ops.reputation_flows;
DROP VIEW IF EXISTS masques_ops.reputation_spending;
DROP VIEW IF EXISTS masques_ops.reputation_capped;
DROP VIEW IF EXISTS masques_ops.reputation_counted;
DROP VIEW IF EXISTS masques_ops.reputation_scores_at;
DROP TABLE IF EXISTS masques_ops.reputation_models SYNC;
DROP TABLE IF EXISTS masques_ops.reputation_parties SYNC;
DROP TABLE IF EXISTS masques_ops.reputation_references SYNC;
DROP TABLE IF EXISTS masques_ops.reputation_touched_transfers SYNC;
DROP TABLE IF EXISTS masques_ops.reputation_touched_references SYNC;
DROP TABLE IF EXISTS masques_ops.reputation_touched_links SYNC;
DROP TABLE IF EXISTS masques_ops.reputation_touched_events SYNC;
DROP TABLE IF EXISTS masques_ops.reputation_evidence_log SYNC;

-- The parameters of the model by name; reputation/model.yaml says what each is.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_model_versions
(
    model_version String COMMENT 'name of the version; scores carry it',
    loaded_at DateTime64(6, 'UTC') COMMENT 'in force from here on',
    numbers Map(String, Float64) COMMENT 'parameters that are numbers, by name',
    lists Map(String, Array(String)) COMMENT 'parameters that are lists of ids or types, by name'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (loaded_at, model_version)
COMMENT 'The parameters of the reputation model, as model.yaml has them. One row per version; the latest row wins.';

-- The packaged model, so that scores can be asked before any run.
INSERT INTO masques_ops.reputation_model_versions (model_version, loaded_at, numbers, lists)
SELECT
    'price-1',
    toDateTime64(0, 6, 'UTC'),
    map('half_life_days', 30., 'window_days', 90., 'share_task_quality', 0.40, 'share_economic', 0.35,
        'share_identity_hygiene', 0.25, 'prior_weight', 10., 'prior_score', 0.5,
        'lower_deviations', 1.645, 'usd_per_event', 0.2, 'cap_payer', 2., 'cap_blame', 25.,
        'cap_free', 0.1, 'cap_attested', 50., 'weight_free', 0.05, 'standing_usd', 3.,
        'fee_share', 0.05, 'weight_fees', 0.2, 'trace_hops', 3., 'rate_age_max_days', 7., 'linked_most', 20.),
    map('attestors', ['b66f28e4-5f35-5b02-84a3-df8135e0a8ed'], 'seeds', [],
        'platform_account_types', ['treasury', 'platform_fee', 'escrow'],
        'purchase_types', ['masque_session', 'api_call', 'escrow_hold', 'escrow_release'],
        'other_unfunding_types', ['fee', 'refund', 'settlement'])
WHERE (SELECT count() FROM masques_ops.reputation_model_versions) = 0;

-- The events that a run weighs at once, each once, as reported and as the model reads them.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_batch
(
    event_id UUID COMMENT 'the reputation event',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the event happened',
    identity_id UUID COMMENT 'whom the event is about',
    category LowCardinality(String) COMMENT 'task_quality, economic or identity_hygiene',
    event_type LowCardinality(String) COMMENT 'what happened',
    score_delta Float64 COMMENT 'as reported',
    confidence Float64 COMMENT 'as reported',
    reference_type LowCardinality(String) COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String COMMENT 'id of what the event is about, by reference_type; empty for nothing',
    counterparty String COMMENT 'who the event says that caused it; empty when it does not say',
    channel LowCardinality(String) COMMENT 'who delivered the event',
    category_code UInt8 MATERIALIZED indexOf(['task_quality', 'economic', 'identity_hygiene'], category)
        COMMENT '1 task_quality, 2 economic, 3 identity_hygiene',
    delta Float64 MATERIALIZED if(isNaN(score_delta), 0.0, greatest(-1.0, least(1.0, score_delta)))
        COMMENT 'score_delta, clamped to -1 to 1',
    quality Float64 MATERIALIZED if(isNaN(confidence), 0.0, greatest(0.0, least(1.0, confidence)))
        COMMENT 'confidence, clamped to 0 to 1',
    reference UUID MATERIALIZED toUUIDOrZero(reference_id) COMMENT 'reference_id as a UUID; zero when it is none',
    reported_id UUID MATERIALIZED if(
        counterparty != '' AND toUUIDOrNull(counterparty) IS NULL,
        reinterpretAsUUID(sipHash128(lower(counterparty))), toUUIDOrZero(counterparty))
        COMMENT 'counterparty as a UUID, by its hash when it is none; zero when it does not say'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY event_id
COMMENT 'Events that the reputation run weighs at once. Emptied before the next ones.';

-- What each event weighs, before it ages. A log: rows are never changed. When an event comes to weigh
-- something else, a cancelling row (sign = -1) and the new row are appended. So a sum over the rows known
-- at some time is what was known then, in whatever order they lie.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_evidence
(
    identity_id UUID COMMENT 'whose score the evidence counts for',
    category_code UInt8 COMMENT '1 task_quality, 2 economic, 3 identity_hygiene',
    voice UInt64 COMMENT 'what shares a cap: 0 all without money behind it, 1 attested, else cityHash64(cluster_id)',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the event happened',
    reason_code UInt8
        COMMENT '1 money, 2 attested, 3 free, 4 unpriced, 5 self_dealing, 6 refunded, 7 reorged, 8 contradicted, 9 not_theirs',
    delta Float64 COMMENT 'score_delta, clamped to -1 to 1',
    weight Float64 COMMENT 'weight before it ages, of a judgement of 1 or -1; 0 for what counts nothing',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    event_id UUID COMMENT 'the reputation event',
    event_type LowCardinality(String) COMMENT 'what happened, for instance task_completed',
    reference_type LowCardinality(String) COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String COMMENT 'id of what the event is about, by reference_type; empty for nothing',
    reference_key UInt64 COMMENT 'sipHash64(reference_type, reference_id as UUID)',
    payment_id UUID COMMENT 'the payment that the reference leads to, or its hold; zero for none',
    counterparty_id UUID COMMENT 'the other side of the payment, else the one reported',
    cluster_id UUID COMMENT 'the payer cluster of the counterparty',
    sign Int8 COMMENT '1, or -1 for a row that cancels an earlier one',
    known_from DateTime64(6, 'UTC') COMMENT 'when the row was written; scores of earlier moments do not use it'
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (identity_id, category_code, voice)
TTL toDate(timestamp) + INTERVAL 3 YEAR
COMMENT 'What each reputation event weighs, before it ages. A log: a change appends a cancelling row (sign = -1) and the new row, so always sum with sign.';

-- Who paid whom in the window, and how much of what each earns comes from trusted payers.
CREATE TABLE IF NOT EXISTS masques_ops.reputation_trade
(
    payer UInt64 COMMENT 'cityHash64 of the payer cluster that paid',
    payee UInt64 COMMENT 'cityHash64 of the payer cluster that was paid',
    usd Float64 COMMENT 'USD in the window, refunds subtracted',
    seed_usd Float64 COMMENT 'the part of it that trusted payers paid'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (payer, payee)
COMMENT 'Who paid whom in the window of the scores. Emptied before the standing of payers is computed.';

CREATE TABLE IF NOT EXISTS masques_ops.reputation_traces
(
    hop UInt8 COMMENT 'over how many payments the money was followed',
    payee UInt64 COMMENT 'cityHash64 of the payer cluster',
    share Float64 COMMENT 'share of its income that comes from trusted payers over so many payments at most, 0 to 1',
    passed Float64 COMMENT 'the share of what it pays that is such money, 0 to 1'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (hop, payee)
COMMENT 'Which share of the income of each party comes from trusted payers. Emptied before the standing of payers is computed.';

CREATE TABLE IF NOT EXISTS masques_ops.reputation_standing
(
    voice UInt64 COMMENT 'cityHash64 of the payer cluster',
    known_from DateTime64(6, 'UTC') COMMENT 'when the row was written; scores of earlier moments do not use it',
    standing Float64 COMMENT 'how much its word counts, 0 to 1: by what it spent that does not come back, for each of those it trades with'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (voice, known_from)
TTL toDate(known_from) + INTERVAL 3 YEAR
COMMENT 'How much the word of each payer cluster counts. A new row is appended when it changed.';

-- New rows are found without reading old ones.
ALTER TABLE masques.transactions ADD INDEX IF NOT EXISTS ingested_at_range ingested_at TYPE minmax GRANULARITY 1;
