-- From the landing zone to four tables: the file log, and the batch that is being loaded.
--
-- The lines of a batch of files are split and typed into masques_ops.<table>_staged
-- (sql/intake/rows_of_<table>.sql), compared there with what the table holds
-- (masques_ops.<table>_keys), and published. A staged table is empty between batches. There is one
-- writer at a time: the lock of the embedded warehouse, or the lease of the intake on a server.
--
-- Two rows with one row_key are duplicates when `content` is equal; otherwise the second is a conflict:
-- the first stays, the other goes to quarantine.
--
-- A batch lives in memory: only the statements of that batch read it, and writing it to disk took a
-- third of the time of loading. What a restart forgets, the intake notices by its counts, and the next
-- run reads the files again. There are two staged tables for each kind of row: one batch is parsed
-- while the one before it is published.

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

-- Keys of the batch that the table holds already.
CREATE TABLE IF NOT EXISTS masques_ops.intake_known
(
    row_key UUID,
    content FixedString(16)
)
ENGINE = Memory;

-- Rows of the batch whose key came before, in the table or in the batch itself. A row may be there
-- twice, when a statement was sent twice: read it with DISTINCT.
CREATE TABLE IF NOT EXISTS masques_ops.intake_repeats
(
    chunk_no UInt32,
    line_no UInt64,
    source LowCardinality(String),
    verdict LowCardinality(String) COMMENT 'duplicate or conflict'
)
ENGINE = Memory;

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
ENGINE = Memory;

CREATE TABLE IF NOT EXISTS masques_ops.api_requests_staged_next
AS masques_ops.api_requests_staged ENGINE = Memory;

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
ENGINE = Memory;

CREATE TABLE IF NOT EXISTS masques_ops.reputation_events_staged_next
AS masques_ops.reputation_events_staged ENGINE = Memory;

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
ENGINE = Memory;

CREATE TABLE IF NOT EXISTS masques_ops.masque_sessions_staged_next
AS masques_ops.masque_sessions_staged ENGINE = Memory;

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
ENGINE = Memory;

CREATE TABLE IF NOT EXISTS masques_ops.identities_staged_next
AS masques_ops.identities_staged ENGINE = Memory;
