-- How far a whole pass over all tables has come, slice by slice.

CREATE TABLE IF NOT EXISTS masques_ops.proof_slices
(
    pass_begun_at DateTime64(6, 'UTC') COMMENT 'when the whole pass began; it is named by that',
    number UInt32 COMMENT 'place of the slice in the pass',
    kind LowCardinality(String) COMMENT 'what is proved: seals, proof, rows, content, scores, files, parts, mutations; full: all of it by masques verify --full',
    part String COMMENT 'over what: the last seal of a range (empty: to the end), a proof of the ledger, a table with its month',
    outcome LowCardinality(String) COMMENT 'due, or inconclusive: the next run makes it; holds, warns, fails, or nothing: there is nothing of it',
    summary String COMMENT 'one line',
    findings Array(String) COMMENT 'what is wrong, the first 20',
    sealed_sequence UInt64 COMMENT 'of seals: the last seal that was proved; the next range starts there',
    sealed_digest String COMMENT 'of seals: its digest',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest of a slice counts'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (pass_begun_at, number)
TTL toDate(pass_begun_at) + INTERVAL 1 YEAR
COMMENT 'The slices of each whole pass (verification_job, masques verify --full). A pass is whole when none of its slices is due or inconclusive: masques_ops.proof_passes.';

CREATE TABLE IF NOT EXISTS masques_ops.signals_due
(
    event_id UUID COMMENT 'as in masques.reputation_events',
    timestamp DateTime64(9, 'UTC') COMMENT 'as in masques.reputation_events',
    identity_id UUID COMMENT 'as in masques.reputation_events',
    category LowCardinality(String) COMMENT 'as in masques.reputation_events',
    event_type LowCardinality(String) COMMENT 'as in masques.reputation_events',
    score_delta Float64 COMMENT 'as in masques.reputation_events',
    confidence Float64 COMMENT 'as in masques.reputation_events',
    reference_type LowCardinality(String) COMMENT 'as in masques.reputation_events',
    reference_id String COMMENT 'as in masques.reputation_events',
    attributes Map(LowCardinality(String), String) COMMENT 'as in masques.reputation_events',
    channel LowCardinality(String) COMMENT 'as in masques.reputation_events'
)
ENGINE = Memory
COMMENT 'The signals that the running aggregation derived, between their keys and their rows; emptied by the next.';
