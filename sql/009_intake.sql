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
    bytes UInt64 COMMENT 'size of the file as stored',
    sha256 String COMMENT 'of the bytes as they lie there, hex; empty when they could not be read',
    state LowCardinality(String) COMMENT 'loaded, failed, or same as another file',
    problem String COMMENT 'why it failed, or which file it is the same as',
    rows_read UInt64 COMMENT 'rows in the file: blank, loaded, duplicates and quarantined together',
    blank UInt64 COMMENT 'blank lines',
    loaded UInt64 COMMENT 'rows that were loaded into the table',
    duplicates UInt64 COMMENT 'rows that the table held already with the same content',
    quarantined UInt64 COMMENT 'conflicts among them',
    conflicts UInt64 COMMENT 'quarantined rows whose key was there with other content',
    unknown_fields UInt64 COMMENT 'fields that the table has no place for',
    newest_at Nullable(DateTime64(9, 'UTC')) COMMENT 'newest event among the good rows',
    attempts UInt32 COMMENT 'how often the file was read',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest row of a file wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (folder, path, version)
COMMENT 'Which files of the landing zone were read, and the result for their rows. Read it with FINAL.';

-- Keys of the batch that the table holds already.
CREATE TABLE IF NOT EXISTS masques_ops.intake_known
(
    row_key UUID COMMENT 'key of the row',
    content FixedString(16) COMMENT 'hash of all other columns; equal content is a duplicate'
)
ENGINE = Memory
COMMENT 'Keys of the batch that the table holds already. Kept in memory while a batch is loaded.';

-- Rows of the batch whose key came before, in the table or in the batch itself. A row may be there
-- twice, when a statement was sent twice: read it with DISTINCT.
CREATE TABLE IF NOT EXISTS masques_ops.intake_repeats
(
    chunk_no UInt32 COMMENT 'number of the chunk within the batch',
    line_no UInt64 COMMENT 'line within the file, 1 and up',
    source LowCardinality(String) COMMENT 'the file',
    verdict LowCardinality(String) COMMENT 'duplicate or conflict'
)
ENGINE = Memory
COMMENT 'Rows of the batch whose key came before. Kept in memory while a batch is loaded.';

-- Every version of an identity; masques.identities forgets all but the newest when it merges.
CREATE TABLE IF NOT EXISTS masques_ops.identity_versions
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
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (identity_id, updated_at)
COMMENT 'Every version of every identity; masques.identities keeps only the latest.';

CREATE TABLE IF NOT EXISTS masques_ops.api_requests_staged
(
    chunk_no UInt32 COMMENT 'number of the chunk within the batch',
    source LowCardinality(String) COMMENT 'the file',
    line_no UInt64 COMMENT 'line within the file, 1 and up',
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32 COMMENT 'fields of the line that no column takes',
    request_id UUID COMMENT 'id of the request, given by the gate',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the request arrived, by the clock of the gate',
    identity_id UUID COMMENT 'who asked; the zero UUID when not known',
    session_id Nullable(UUID) COMMENT 'the session that the request belongs to; NULL when to none',
    endpoint LowCardinality(String) COMMENT 'path of the endpoint, without ids and query',
    method LowCardinality(String) COMMENT 'HTTP method',
    resource_type LowCardinality(String) COMMENT 'kind of what was asked for: masque, mcp_tool, api and so on',
    resource_id String COMMENT 'what was asked for, as the gate names it',
    tokens_input UInt64 COMMENT 'tokens that a model read for the request; 0 when it used none',
    tokens_output UInt64 COMMENT 'tokens that a model wrote for the request; 0 when it used none',
    bytes_transferred UInt64 COMMENT 'size of the answer in bytes',
    duration_ms UInt64 COMMENT 'time to answer in milliseconds',
    price_usd Decimal(18, 6) COMMENT 'price list value, not money moved',
    transaction_id Nullable(UUID) COMMENT 'the ledger transfer that paid',
    status_code UInt16 COMMENT 'HTTP status of the answer',
    payment_status LowCardinality(String)
        COMMENT 'challenged, paid, free_tier, rejected, insufficient_funds, settlement_pending, unknown',
    trace_id String COMMENT '32 lower-case hex digits, or empty',
    span_id String COMMENT '16 lower-case hex digits, or empty',
    row_key UUID ALIAS request_id COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    content FixedString(16) ALIAS sipHash128(
        timestamp, identity_id,
        ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
        resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
        duration_ms, price_usd,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
        payment_status, trace_id, span_id) COMMENT 'hash of all other columns; equal content is a duplicate',
    event_at DateTime64(9, 'UTC') ALIAS timestamp
        COMMENT 'when the fact happened: the time that retention and future limits are checked by'
)
ENGINE = Memory
COMMENT 'Parsed rows of the batch that is being loaded, before they go to masques.api_requests. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.api_requests_staged_next
AS masques_ops.api_requests_staged ENGINE = Memory
COMMENT 'Parsed rows of the batch that is loaded next, before they go to masques.api_requests. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.reputation_events_staged
(
    chunk_no UInt32 COMMENT 'number of the chunk within the batch',
    source LowCardinality(String) COMMENT 'the file',
    line_no UInt64 COMMENT 'line within the file, 1 and up',
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32 COMMENT 'fields of the line that no column takes',
    event_id UUID COMMENT 'id of the event; the same event may be delivered twice and counts once',
    timestamp DateTime64(9, 'UTC') COMMENT 'when it happened, by the clock of the producer',
    identity_id UUID COMMENT 'whom the event is about',
    category LowCardinality(String) COMMENT 'task_quality, economic or identity_hygiene',
    event_type LowCardinality(String) COMMENT 'what happened, for instance task_completed or hold_expired',
    score_delta Float64 COMMENT '-1 to 1; beyond is clamped when scored',
    confidence Float64 COMMENT '0 to 1; beyond is clamped when scored',
    reference_type LowCardinality(String) COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String COMMENT 'id of what the event is about, by reference_type; empty for nothing',
    attributes Map(LowCardinality(String), String) COMMENT 'counterparty_id: who caused the event',
    row_key UUID ALIAS event_id COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    content FixedString(16) ALIAS sipHash128(
        timestamp, identity_id, category, event_type, score_delta, confidence,
        reference_type, reference_id, attributes) COMMENT 'hash of all other columns; equal content is a duplicate',
    event_at DateTime64(9, 'UTC') ALIAS timestamp
        COMMENT 'when the fact happened: the time that retention and future limits are checked by'
)
ENGINE = Memory
COMMENT 'Parsed rows of the batch that is being loaded, before they go to masques.reputation_events. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.reputation_events_staged_next
AS masques_ops.reputation_events_staged ENGINE = Memory
COMMENT 'Parsed rows of the batch that is loaded next, before they go to masques.reputation_events. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.masque_sessions_staged
(
    chunk_no UInt32 COMMENT 'number of the chunk within the batch',
    source LowCardinality(String) COMMENT 'the file',
    line_no UInt64 COMMENT 'line within the file, 1 and up',
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32 COMMENT 'fields of the line that no column takes',
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
    row_key UUID ALIAS reinterpretAsUUID(sipHash128(session_id, toString(report)))
        COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    content FixedString(16) ALIAS sipHash128(
        identity_id, masque_name, masque_version, masque_source, donned_at,
        ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
        intent, client_info, trace_id, author_id,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')))
        COMMENT 'hash of all other columns; equal content is a duplicate',
    event_at DateTime64(9, 'UTC') ALIAS donned_at
        COMMENT 'when the fact happened: the time that retention and future limits are checked by'
)
ENGINE = Memory
COMMENT 'Parsed rows of the batch that is being loaded, before they go to masques.masque_sessions. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.masque_sessions_staged_next
AS masques_ops.masque_sessions_staged ENGINE = Memory
COMMENT 'Parsed rows of the batch that is loaded next, before they go to masques.masque_sessions. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.identities_staged
(
    chunk_no UInt32 COMMENT 'number of the chunk within the batch',
    source LowCardinality(String) COMMENT 'the file',
    line_no UInt64 COMMENT 'line within the file, 1 and up',
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32 COMMENT 'fields of the line that no column takes',
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
    row_key UUID ALIAS reinterpretAsUUID(sipHash128(identity_id, updated_at))
        COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    content FixedString(16) ALIAS sipHash128(
        identity_type, created_at, display_name, attributes, external_ids, status,
        status_reason) COMMENT 'hash of all other columns; equal content is a duplicate',
    event_at DateTime64(9, 'UTC') ALIAS updated_at
        COMMENT 'when the fact happened: the time that retention and future limits are checked by'
)
ENGINE = Memory
COMMENT 'Parsed rows of the batch that is being loaded, before they go to masques.identities. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.identities_staged_next
AS masques_ops.identities_staged ENGINE = Memory
COMMENT 'Parsed rows of the batch that is loaded next, before they go to masques.identities. Kept in memory, empty between batches.';
