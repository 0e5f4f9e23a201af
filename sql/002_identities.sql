-- Who takes part, and which masque they wore when.

-- One row per version of an identity; the latest updated_at wins (the source's clock, never ours,
-- so that a late delivery of an old version does not win).
CREATE TABLE IF NOT EXISTS masques.identities
(
    identity_id UUID COMMENT 'id of the identity, given by the platform',
    identity_type LowCardinality(String) COMMENT 'agent, user or service',
    created_at DateTime64(9, 'UTC') COMMENT 'when the identity was registered, by the clock of the platform',
    display_name String COMMENT 'name to show; empty when none was given',
    attributes Map(LowCardinality(String), String)
        COMMENT 'free properties, by name; key_id and public_key are recorded as keys',
    external_ids Map(LowCardinality(String), String) COMMENT 'ids elsewhere: wallet, ERC-8004 agent, node',
    status LowCardinality(String) COMMENT 'active, suspended or revoked',
    status_reason String COMMENT 'why the status is what it is; empty when nobody said',
    updated_at DateTime64(9, 'UTC')
        COMMENT 'when this version was written, by the clock of the platform; the latest version wins',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was loaded into this warehouse'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(updated_at)
ORDER BY identity_id
COMMENT 'Who takes part: agents, users and services. One row per version; read it with FINAL, or masques_marts.identities_current. Filled from the landing zone.';

-- One row per report of a session: a don, a doff, or both in one. masques_marts merges them.
CREATE TABLE IF NOT EXISTS masques.masque_sessions
(
    report LowCardinality(String) COMMENT 'don, doff, or session for a complete one',
    session_id UUID COMMENT 'id of the session; the same in all its reports',
    identity_id UUID COMMENT 'who wears the masque; the zero UUID when this report does not say',
    masque_name LowCardinality(String) COMMENT 'name of the masque; empty when this report does not say',
    masque_version LowCardinality(String) COMMENT 'version of the masque; empty when this report does not say',
    masque_source LowCardinality(String) COMMENT 'private, shared or marketplace',
    donned_at DateTime64(9, 'UTC') COMMENT 'in every report: key, partition and retention',
    doffed_at Nullable(DateTime64(9, 'UTC'))
        COMMENT 'when the masque was taken off; NULL when this report does not say',
    duration_ms Nullable(UInt64)
        COMMENT 'length of the session in milliseconds, as reported; NULL when this report does not say',
    intent String COMMENT 'what the session was for, in the words of the identity; empty when not reported',
    client_info Map(LowCardinality(String), String)
        COMMENT 'properties of the client program, by name; empty when not reported',
    trace_id String COMMENT '32 lower-case hex digits, or empty',
    author_id UUID COMMENT 'who is paid for the masque; zero when not reported',
    transaction_id Nullable(UUID) COMMENT 'the hold in the ledger',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was loaded into this warehouse',
    INDEX session_id_bloom session_id TYPE bloom_filter GRANULARITY 4,
    INDEX identity_id_bloom identity_id TYPE bloom_filter GRANULARITY 4,
    INDEX transaction_id_bloom transaction_id TYPE bloom_filter GRANULARITY 4,
    INDEX trace_id_bloom trace_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(donned_at)
ORDER BY (donned_at, identity_id, session_id)
TTL toDate(donned_at) + INTERVAL 2 YEAR
COMMENT 'Who wore which masque, and when. One row per report (don, doff or session); masques_marts.sessions_current has one row per session. Filled from the landing zone.';
