-- Who takes part, and which masque they wore when.

-- One row per version of an identity; the latest updated_at wins (the source's clock, never ours,
-- so that a late delivery of an old version does not win).
CREATE TABLE IF NOT EXISTS masques.identities
(
    identity_id UUID,
    identity_type LowCardinality(String) COMMENT 'agent, user or service',
    created_at DateTime64(9, 'UTC'),
    display_name String,
    attributes Map(LowCardinality(String), String),
    external_ids Map(LowCardinality(String), String) COMMENT 'ids elsewhere: wallet, ERC-8004 agent, node',
    status LowCardinality(String) COMMENT 'active, suspended or revoked',
    status_reason String,
    updated_at DateTime64(9, 'UTC'),
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(updated_at)
ORDER BY identity_id;

-- One row per report of a session: a don, a doff, or both in one. masques_marts merges them.
CREATE TABLE IF NOT EXISTS masques.masque_sessions
(
    report LowCardinality(String) COMMENT 'don, doff, or session for a complete one',
    session_id UUID,
    identity_id UUID,
    masque_name LowCardinality(String),
    masque_version LowCardinality(String),
    masque_source LowCardinality(String) COMMENT 'private, shared or marketplace',
    donned_at DateTime64(9, 'UTC') COMMENT 'in every report: key, partition and retention',
    doffed_at Nullable(DateTime64(9, 'UTC')),
    duration_ms Nullable(UInt64),
    intent String,
    client_info Map(LowCardinality(String), String),
    trace_id String COMMENT '32 lower-case hex digits, or empty',
    author_id UUID COMMENT 'who is paid for the masque; zero when not reported',
    transaction_id Nullable(UUID) COMMENT 'the hold in the ledger',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX session_id_bloom session_id TYPE bloom_filter GRANULARITY 4,
    INDEX identity_id_bloom identity_id TYPE bloom_filter GRANULARITY 4,
    INDEX transaction_id_bloom transaction_id TYPE bloom_filter GRANULARITY 4,
    INDEX trace_id_bloom trace_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(donned_at)
ORDER BY (donned_at, identity_id, session_id)
TTL toDate(donned_at) + INTERVAL 2 YEAR;
