-- What reconciliation needs of the gate: what was charged, and which transfer refunds which.
--
-- charged is what the payer was charged, in the asset that it was paid in. price_usd stays what the
-- price list says. Rows of before this file have none: not known, which is not the same as 0.

ALTER TABLE masques.api_requests
    ADD COLUMN IF NOT EXISTS charged Nullable(Decimal(76, 18))
    COMMENT 'what was charged for the request, in whole units of charged_currency; NULL when the gate did not say; many requests may name one transfer, whose amount is the sum';
ALTER TABLE masques.api_requests
    ADD COLUMN IF NOT EXISTS charged_currency LowCardinality(String)
    COMMENT 'asset that was charged, as the ledger''s chart names it: USD, BTC, SOL and so on; empty when charged is NULL';

ALTER TABLE masques.masque_sessions
    ADD COLUMN IF NOT EXISTS charged Nullable(Decimal(76, 18))
    COMMENT 'what was charged for the session at its doff, beside its requests, in whole units of charged_currency; NULL when this report does not say';
ALTER TABLE masques.masque_sessions
    ADD COLUMN IF NOT EXISTS charged_currency LowCardinality(String)
    COMMENT 'asset that was charged, as the ledger''s chart names it: USD, BTC, SOL and so on; empty when charged is NULL';

-- The staged tables have the columns of their tables in the same order, but for ingested_at. The hash of
-- a row without a charge stays what it was, so that the same row delivered again is a duplicate.
ALTER TABLE masques_ops.api_requests_staged
    ADD COLUMN IF NOT EXISTS charged Nullable(Decimal(76, 18))
    COMMENT 'what was charged, in whole units of charged_currency; NULL when not said';
ALTER TABLE masques_ops.api_requests_staged
    ADD COLUMN IF NOT EXISTS charged_currency LowCardinality(String)
    COMMENT 'asset that was charged; empty when charged is NULL';
ALTER TABLE masques_ops.api_requests_staged
    MODIFY COLUMN content FixedString(16) ALIAS if(
        isNull(charged),
        sipHash128(
            timestamp, identity_id,
            ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
            resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
            duration_ms, price_usd,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
            payment_status, trace_id, span_id),
        sipHash128(
            timestamp, identity_id,
            ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
            resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
            duration_ms, price_usd,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
            payment_status, trace_id, span_id,
            assumeNotNull(charged), toString(charged_currency)))
    COMMENT 'hash of all other columns; equal content is a duplicate; that of a row without charged is as before charged was known';
ALTER TABLE masques_ops.api_requests_staged_next
    ADD COLUMN IF NOT EXISTS charged Nullable(Decimal(76, 18))
    COMMENT 'what was charged, in whole units of charged_currency; NULL when not said';
ALTER TABLE masques_ops.api_requests_staged_next
    ADD COLUMN IF NOT EXISTS charged_currency LowCardinality(String)
    COMMENT 'asset that was charged; empty when charged is NULL';
ALTER TABLE masques_ops.api_requests_staged_next
    MODIFY COLUMN content FixedString(16) ALIAS if(
        isNull(charged),
        sipHash128(
            timestamp, identity_id,
            ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
            resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
            duration_ms, price_usd,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
            payment_status, trace_id, span_id),
        sipHash128(
            timestamp, identity_id,
            ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
            resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
            duration_ms, price_usd,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
            payment_status, trace_id, span_id,
            assumeNotNull(charged), toString(charged_currency)))
    COMMENT 'hash of all other columns; equal content is a duplicate; that of a row without charged is as before charged was known';
ALTER TABLE masques_ops.masque_sessions_staged
    ADD COLUMN IF NOT EXISTS charged Nullable(Decimal(76, 18))
    COMMENT 'what was charged, in whole units of charged_currency; NULL when not said';
ALTER TABLE masques_ops.masque_sessions_staged
    ADD COLUMN IF NOT EXISTS charged_currency LowCardinality(String)
    COMMENT 'asset that was charged; empty when charged is NULL';
ALTER TABLE masques_ops.masque_sessions_staged
    MODIFY COLUMN content FixedString(16) ALIAS if(
        isNull(charged),
        sipHash128(
            identity_id, masque_name, masque_version, masque_source, donned_at,
            ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
            intent, client_info, trace_id, author_id,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))),
        sipHash128(
            identity_id, masque_name, masque_version, masque_source, donned_at,
            ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
            intent, client_info, trace_id, author_id,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')),
            assumeNotNull(charged), toString(charged_currency)))
    COMMENT 'hash of all other columns; equal content is a duplicate; that of a row without charged is as before charged was known';
ALTER TABLE masques_ops.masque_sessions_staged_next
    ADD COLUMN IF NOT EXISTS charged Nullable(Decimal(76, 18))
    COMMENT 'what was charged, in whole units of charged_currency; NULL when not said';
ALTER TABLE masques_ops.masque_sessions_staged_next
    ADD COLUMN IF NOT EXISTS charged_currency LowCardinality(String)
    COMMENT 'asset that was charged; empty when charged is NULL';
ALTER TABLE masques_ops.masque_sessions_staged_next
    MODIFY COLUMN content FixedString(16) ALIAS if(
        isNull(charged),
        sipHash128(
            identity_id, masque_name, masque_version, masque_source, donned_at,
            ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
            intent, client_info, trace_id, author_id,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))),
        sipHash128(
            identity_id, masque_name, masque_version, masque_source, donned_at,
            ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
            intent, client_info, trace_id, author_id,
            ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')),
            assumeNotNull(charged), toString(charged_currency)))
    COMMENT 'hash of all other columns; equal content is a duplicate; that of a row without charged is as before charged was known';

-- A doff says that its gate was read up to the doff, not up to the don.
ALTER TABLE masques_ops.masque_sessions_staged
    MODIFY COLUMN event_at DateTime64(9, 'UTC')
    ALIAS greatest(donned_at, ifNull(doffed_at, donned_at))
    COMMENT 'when the newest fact of the report happened: up to there the gate was read';
ALTER TABLE masques_ops.masque_sessions_staged_next
    MODIFY COLUMN event_at DateTime64(9, 'UTC')
    ALIAS greatest(donned_at, ifNull(doffed_at, donned_at))
    COMMENT 'when the newest fact of the report happened: up to there the gate was read';

-- Which transfer gives back which payment. The ledger cannot say: its three fields for user data are
-- taken, and pending_id is for holds.
CREATE TABLE IF NOT EXISTS masques_ops.payment_links
(
    transaction_id UUID COMMENT 'the ledger transfer that refunds; it refunds one payment',
    refund_of UUID COMMENT 'the ledger transfer that it refunds: a payment, or the hold of one; several may refund one payment',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the refund was made, by the clock of who reports it',
    note String COMMENT 'why, in the words of who reports it; empty when nobody said',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was loaded into this warehouse',
    channel LowCardinality(String)
        COMMENT 'who delivered the row: see masques_ops.landing_channels; empty when that is not known',
    INDEX ingested_at_range ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY transaction_id
TTL toDate(timestamp) + INTERVAL 7 YEAR
COMMENT 'Which ledger transfer refunds which. One row per refunding transfer. Filled from the landing zone.';

CREATE TABLE IF NOT EXISTS masques_ops.payment_links_key_times
(
    key_high UInt64 DEFAULT toUInt64(bitShiftRight(toUInt128(row_key), 64)) CODEC(NONE)
        COMMENT 'first half of the key, which is quicker to compare; ids that begin with a time are found together',
    row_key UUID CODEC(NONE) COMMENT 'key of the row, as in masques_ops.payment_links_keys',
    event_at DateTime64(9, 'UTC') COMMENT 'where to look for the row: timestamp in masques_ops.payment_links'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(event_at)
ORDER BY (key_high, row_key, event_at)
TTL toDate(event_at) + INTERVAL 7 YEAR
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1
COMMENT 'Key and time of every row of masques_ops.payment_links, in the order of the keys: the intake finds there what it has loaded. A key may be here more than once, or without a row.';

CREATE TABLE IF NOT EXISTS masques_ops.payment_links_staged
(
    chunk_no UInt32 COMMENT 'number of the chunk within the batch',
    source LowCardinality(String) COMMENT 'the file',
    line_no UInt64 COMMENT 'line within the file, 1 and up',
    reason LowCardinality(String) COMMENT 'empty for a good row, blank for a blank line',
    raw String COMMENT 'the line, of a bad row only',
    unknown_fields UInt32 COMMENT 'fields of the line that no column takes',
    transaction_id UUID COMMENT 'the ledger transfer that refunds',
    refund_of UUID COMMENT 'the ledger transfer that it refunds',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the refund was made, by the clock of who reports it',
    note String COMMENT 'why, in the words of who reports it; empty when nobody said',
    channel LowCardinality(String) COMMENT 'who delivered the row',
    row_key UUID ALIAS transaction_id
        COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    content FixedString(16) ALIAS sipHash128(refund_of, timestamp, note)
        COMMENT 'hash of all other columns; equal content is a duplicate',
    event_at DateTime64(9, 'UTC') ALIAS timestamp
        COMMENT 'when the fact happened: the time that retention and future limits are checked by'
)
ENGINE = Memory
COMMENT 'Parsed rows of the batch that is being loaded, before they go to masques_ops.payment_links. Kept in memory, empty between batches.';

CREATE TABLE IF NOT EXISTS masques_ops.payment_links_staged_next
AS masques_ops.payment_links_staged ENGINE = Memory
COMMENT 'Parsed rows of the batch that is loaded next, before they go to masques_ops.payment_links. Kept in memory, empty between batches.';
