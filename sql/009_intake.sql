-- From the landing zone to four tables. A re-run changes nothing.
--
-- The lines of a batch of files are split and typed by sql/transforms/intake/stage_<table>.sql into
-- masques_ops.<table>_staged, compared there with what the table holds (masques_ops.<table>_keys),
-- and published. A staged table is empty between batches. There is one writer at a time: the lock
-- of the embedded warehouse, or the lease of the intake on a server.
--
-- Two rows with one row_key are duplicates when `content` is equal; else the second is a conflict:
-- the first stays, the other goes to quarantine.

-- Which files were read, and what became of each of their rows: rows_read is blank, loaded,
-- duplicates and quarantined together. A change is a new row with a later recorded_at: use FINAL.
CREATE TABLE IF NOT EXISTS masques_ops.intake_files
(
    folder LowCardinality(String) COMMENT 'folder of the landing zone: the table, mostly',
    path String COMMENT 'path below the landing zone, or frame:<name>',
    version String COMMENT 'size and time, or the store''s own tag: another one is another file',
    source String COMMENT 'the file in quarantine: path, with @version when the path came again',
    bytes UInt64,
    sha256 String COMMENT 'of the bytes as they lie there, hex; empty when they could not be read',
    state LowCardinality(String) COMMENT 'loaded, failed, or same as another file',
    problem String COMMENT 'why it failed, or which file it is the same as',
    rows_read UInt64,
    blank UInt64,
    loaded UInt64,
    duplicates UInt64,
    quarantined UInt64 COMMENT 'conflicts among them',
    conflicts UInt64,
    unknown_fields UInt64 COMMENT 'fields that the table has no place for',
    newest_at Nullable(DateTime64(9, 'UTC')) COMMENT 'newest event among the good rows',
    attempts UInt32 COMMENT 'how often the file was read',
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (folder, path, version);

-- Keys of the batch at hand that the table holds already.
CREATE TABLE IF NOT EXISTS masques_ops.intake_known
(
    row_key UUID,
    content FixedString(16)
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY row_key;

-- Rows of the batch at hand whose key came before, in the table or in the batch itself.
CREATE TABLE IF NOT EXISTS masques_ops.intake_repeats
(
    chunk_no UInt32,
    line_no UInt64,
    source LowCardinality(String),
    verdict LowCardinality(String) COMMENT 'duplicate or conflict'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (chunk_no, line_no);

-- Every version of an identity; masques.identities forgets all but the newest when it merges.
CREATE TABLE IF NOT EXISTS masques_ops.identity_versions
(
    identity_id UUID,
    identity_type LowCardinality(String),
    created_at DateTime64(9, 'UTC'),
    display_name String,
    attributes Map(LowCardinality(String), String),
    external_ids Map(LowCardinality(String), String),
    status LowCardinality(String),
    status_reason String,
    updated_at DateTime64(9, 'UTC'),
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (identity_id, updated_at);

CREATE TABLE IF NOT EXISTS masques_ops.api_requests_staged
(
    chunk_no UInt32,
    source LowCardinality(String),
    line_no UInt64,
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32,
    request_id UUID,
    timestamp DateTime64(9, 'UTC'),
    identity_id UUID,
    session_id Nullable(UUID),
    endpoint LowCardinality(String),
    method LowCardinality(String),
    resource_type LowCardinality(String),
    resource_id String,
    tokens_input UInt64,
    tokens_output UInt64,
    bytes_transferred UInt64,
    duration_ms UInt64,
    price_usd Decimal(18, 6),
    transaction_id Nullable(UUID),
    status_code UInt16,
    payment_status LowCardinality(String),
    trace_id String,
    span_id String,
    row_key UUID ALIAS request_id,
    content FixedString(16) ALIAS sipHash128(
        timestamp, identity_id,
        ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
        resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
        duration_ms, price_usd,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
        payment_status, trace_id, span_id),
    event_at DateTime64(9, 'UTC') ALIAS timestamp
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (chunk_no, line_no);

CREATE VIEW IF NOT EXISTS masques_ops.api_requests_keys AS
SELECT
    request_id AS row_key,
    sipHash128(
        timestamp, identity_id,
        ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
        resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
        duration_ms, price_usd,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
        payment_status, trace_id, span_id) AS content,
    ingested_at
FROM masques.api_requests;

CREATE TABLE IF NOT EXISTS masques_ops.reputation_events_staged
(
    chunk_no UInt32,
    source LowCardinality(String),
    line_no UInt64,
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32,
    event_id UUID,
    timestamp DateTime64(9, 'UTC'),
    identity_id UUID,
    category LowCardinality(String),
    event_type LowCardinality(String),
    score_delta Float64,
    confidence Float64,
    reference_type LowCardinality(String),
    reference_id String,
    attributes Map(LowCardinality(String), String),
    row_key UUID ALIAS event_id,
    content FixedString(16) ALIAS sipHash128(
        timestamp, identity_id, category, event_type, score_delta, confidence,
        reference_type, reference_id, attributes),
    event_at DateTime64(9, 'UTC') ALIAS timestamp
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (chunk_no, line_no);

CREATE VIEW IF NOT EXISTS masques_ops.reputation_events_keys AS
SELECT
    event_id AS row_key,
    sipHash128(
        timestamp, identity_id, category, event_type, score_delta, confidence,
        reference_type, reference_id, attributes) AS content,
    ingested_at
FROM masques.reputation_events;

CREATE TABLE IF NOT EXISTS masques_ops.masque_sessions_staged
(
    chunk_no UInt32,
    source LowCardinality(String),
    line_no UInt64,
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32,
    report LowCardinality(String),
    session_id UUID,
    identity_id UUID,
    masque_name LowCardinality(String),
    masque_version LowCardinality(String),
    masque_source LowCardinality(String),
    donned_at DateTime64(9, 'UTC'),
    doffed_at Nullable(DateTime64(9, 'UTC')),
    duration_ms Nullable(UInt64),
    intent String,
    client_info Map(LowCardinality(String), String),
    trace_id String,
    author_id UUID,
    transaction_id Nullable(UUID),
    row_key UUID ALIAS reinterpretAsUUID(sipHash128(session_id, toString(report))),
    content FixedString(16) ALIAS sipHash128(
        identity_id, masque_name, masque_version, masque_source, donned_at,
        ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
        intent, client_info, trace_id, author_id,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))),
    event_at DateTime64(9, 'UTC') ALIAS donned_at
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (chunk_no, line_no);

CREATE VIEW IF NOT EXISTS masques_ops.masque_sessions_keys AS
SELECT
    reinterpretAsUUID(sipHash128(session_id, toString(report))) AS row_key,
    sipHash128(
        identity_id, masque_name, masque_version, masque_source, donned_at,
        ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
        intent, client_info, trace_id, author_id,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))) AS content,
    ingested_at
FROM masques.masque_sessions;

CREATE TABLE IF NOT EXISTS masques_ops.identities_staged
(
    chunk_no UInt32,
    source LowCardinality(String),
    line_no UInt64,
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32,
    identity_id UUID,
    identity_type LowCardinality(String),
    created_at DateTime64(9, 'UTC'),
    display_name String,
    attributes Map(LowCardinality(String), String),
    external_ids Map(LowCardinality(String), String),
    status LowCardinality(String),
    status_reason String,
    updated_at DateTime64(9, 'UTC'),
    row_key UUID ALIAS reinterpretAsUUID(sipHash128(identity_id, updated_at)),
    content FixedString(16) ALIAS sipHash128(
        identity_type, created_at, display_name, attributes, external_ids, status,
        status_reason),
    event_at DateTime64(9, 'UTC') ALIAS updated_at
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (chunk_no, line_no);

CREATE VIEW IF NOT EXISTS masques_ops.identities_keys AS
SELECT
    reinterpretAsUUID(sipHash128(identity_id, updated_at)) AS row_key,
    sipHash128(
        identity_type, created_at, display_name, attributes, external_ids, status,
        status_reason) AS content,
    ingested_at
FROM masques_ops.identity_versions;

-- Each identity as it is now.
CREATE VIEW IF NOT EXISTS masques_marts.identities_current AS
SELECT * FROM masques.identities FINAL;

-- Each session once, from whatever was reported of it: a don, a doff, or a complete report. What
-- the later report says of a field wins over an empty one, never the other way round.
CREATE VIEW IF NOT EXISTS masques_marts.sessions_current AS
SELECT
    r.session_id AS session_id,
    maxIf(r.identity_id, r.identity_id != toUUID('00000000-0000-0000-0000-000000000000'))
        AS identity_id,
    max(toString(r.masque_name)) AS masque_name,
    max(toString(r.masque_version)) AS masque_version,
    max(toString(r.masque_source)) AS masque_source,
    min(r.donned_at) AS donned_at,
    coalesce(
        max(r.doffed_at),
        max(fromUnixTimestamp64Nano(
            toUnixTimestamp64Nano(r.donned_at) + toInt64(r.duration_ms) * 1000000, 'UTC')))
        AS doffed_at,
    coalesce(
        max(r.duration_ms),
        toUInt64(intDiv(
            toUnixTimestamp64Nano(max(r.doffed_at)) - toUnixTimestamp64Nano(min(r.donned_at)),
            1000000))) AS duration_ms,
    max(r.intent) AS intent,
    argMax(r.client_info, length(r.client_info)) AS client_info,
    max(r.trace_id) AS trace_id,
    maxIf(r.author_id, r.author_id != toUUID('00000000-0000-0000-0000-000000000000')) AS author_id,
    max(r.transaction_id) AS transaction_id,
    countIf(r.report IN ('don', 'session')) > 0 AS has_don,
    countIf(r.report IN ('doff', 'session')) > 0 AS has_doff,
    count() AS reports
FROM masques.masque_sessions AS r
GROUP BY r.session_id;

-- What is loaded and yet cannot be right, or not yet: findings, not errors. Each goes by itself
-- when the missing report comes.
CREATE VIEW IF NOT EXISTS masques_marts.intake_findings AS
SELECT
    'doff_without_don' AS finding,
    'masque_sessions' AS table_name,
    s.session_id AS id,
    s.donned_at AS at,
    s.identity_id AS identity_id
FROM masques_marts.sessions_current AS s
WHERE NOT s.has_don
UNION ALL
SELECT 'session_without_identity', 'masque_sessions', s.session_id, s.donned_at, s.identity_id
FROM masques_marts.sessions_current AS s
WHERE s.identity_id NOT IN (SELECT i.identity_id FROM masques.identities AS i)
UNION ALL
SELECT 'request_of_unknown_session', 'api_requests', a.request_id, a.timestamp, a.identity_id
FROM masques.api_requests AS a
WHERE isNotNull(a.session_id)
    AND assumeNotNull(a.session_id) NOT IN (SELECT m.session_id FROM masques.masque_sessions AS m)
UNION ALL
SELECT 'paid_without_transaction', 'api_requests', a.request_id, a.timestamp, a.identity_id
FROM masques.api_requests AS a
WHERE a.payment_status = 'paid' AND isNull(a.transaction_id)
UNION ALL
SELECT 'event_of_unknown_identity', 'reputation_events', e.event_id, e.timestamp, e.identity_id
FROM masques.reputation_events AS e
WHERE e.identity_id NOT IN (SELECT i.identity_id FROM masques.identities AS i);
