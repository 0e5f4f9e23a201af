-- What each table of the intake holds, as the keys, times and contents that a batch is compared with. The
-- columns row_key and content are computed as in masques_ops.<table>_staged (009).

CREATE OR REPLACE VIEW masques_ops.api_requests_keys
(
    row_key UUID COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    event_at DateTime64(9, 'UTC') COMMENT 'when it happened: where in the table the row is',
    content FixedString(16) COMMENT 'hash of all other columns; equal content is a duplicate',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was loaded into this warehouse'
)
AS
SELECT
    request_id AS row_key,
    timestamp AS event_at,
    sipHash128(
        timestamp, identity_id,
        ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
        resource_type, resource_id, tokens_input, tokens_output, bytes_transferred,
        duration_ms, price_usd,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
        payment_status, trace_id, span_id) AS content,
    ingested_at
FROM masques.api_requests
COMMENT 'Key and content hash of every row of the table, which the intake compares a batch with.';

CREATE OR REPLACE VIEW masques_ops.reputation_events_keys
(
    row_key UUID COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    event_at DateTime64(9, 'UTC') COMMENT 'when it happened: where in the table the row is',
    content FixedString(16) COMMENT 'hash of all other columns; equal content is a duplicate',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was loaded into this warehouse'
)
AS
SELECT
    event_id AS row_key,
    timestamp AS event_at,
    sipHash128(
        timestamp, identity_id, category, event_type, score_delta, confidence,
        reference_type, reference_id, attributes) AS content,
    ingested_at
FROM masques.reputation_events
COMMENT 'Key and content hash of every row of the table, which the intake compares a batch with.';

CREATE OR REPLACE VIEW masques_ops.masque_sessions_keys
(
    row_key UUID COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    event_at DateTime64(9, 'UTC') COMMENT 'when it happened: where in the table the row is',
    content FixedString(16) COMMENT 'hash of all other columns; equal content is a duplicate',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was loaded into this warehouse'
)
AS
SELECT
    reinterpretAsUUID(sipHash128(session_id, toString(report))) AS row_key,
    donned_at AS event_at,
    sipHash128(
        identity_id, masque_name, masque_version, masque_source, donned_at,
        ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
        intent, client_info, trace_id, author_id,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))) AS content,
    ingested_at
FROM masques.masque_sessions
COMMENT 'Key and content hash of every row of the table, which the intake compares a batch with.';

CREATE OR REPLACE VIEW masques_ops.identities_keys
(
    row_key UUID COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    event_at DateTime64(9, 'UTC') COMMENT 'when it happened: where in the table the row is',
    content FixedString(16) COMMENT 'hash of all other columns; equal content is a duplicate',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was loaded into this warehouse'
)
AS
SELECT
    reinterpretAsUUID(sipHash128(identity_id, updated_at)) AS row_key,
    updated_at AS event_at,
    sipHash128(
        identity_type, created_at, display_name, attributes, external_ids, status,
        status_reason) AS content,
    ingested_at
FROM masques_ops.identity_versions
COMMENT 'Key and content hash of every row of the table, which the intake compares a batch with.';

CREATE OR REPLACE VIEW masques_ops.landing_channels_current
(
    channel LowCardinality(String) COMMENT 'name of the channel, as rows have it',
    attests UInt8 COMMENT '1 when what it says of others counts as attested; 0 otherwise',
    tables Array(String) COMMENT 'the tables that it may write, sorted; none for one that is not configured any more',
    prefixes Array(String) COMMENT 'where in the landing zone it delivers, sorted; an empty one is all of it',
    recorded_at DateTime64(6, 'UTC') COMMENT 'since when that holds'
)
AS
SELECT channel, attests, tables, prefixes, recorded_at
FROM masques_ops.landing_channels
ORDER BY recorded_at DESC
LIMIT 1 BY channel
COMMENT 'What each channel of the landing zone may do now.';
