-- What each table of the intake holds, as the keys, times and contents that a batch is compared with. The
-- columns row_key and content are computed as in masques_ops.<table>_staged (009, 018).

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
    if(
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
            assumeNotNull(charged), toString(charged_currency))) AS content,
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
    if(
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
            assumeNotNull(charged), toString(charged_currency))) AS content,
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

CREATE OR REPLACE VIEW masques_ops.payment_links_keys
(
    row_key UUID COMMENT 'key of the row: two rows with one key are duplicates or conflicts',
    event_at DateTime64(9, 'UTC') COMMENT 'when it happened: where in the table the row is',
    content FixedString(16) COMMENT 'hash of all other columns; equal content is a duplicate',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was loaded into this warehouse'
)
AS
SELECT
    transaction_id AS row_key,
    timestamp AS event_at,
    sipHash128(refund_of, timestamp, note) AS content,
    ingested_at
FROM masques_ops.payment_links
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

-- Up to when each table was read, by the clocks of those who deliver: the newest fact that a file
-- told. This machine's clock is not in it, so a delivery that is late or stands still shows as one.
-- DataFrames are left out: a back-fill says nothing about how far the landing zone was read.
CREATE OR REPLACE VIEW masques_ops.landing_read_to
(
    table_name LowCardinality(String) COMMENT 'table of the intake',
    channel LowCardinality(String) COMMENT 'who delivered: see masques_ops.landing_channels; empty for files of before channels were recorded',
    read_to Nullable(DateTime64(9, 'UTC'))
        COMMENT 'newest fact of the rows that were loaded or are there already, by the channel''s own clock: nothing is known of later ones; NULL when there was no good row',
    is_current UInt8 COMMENT '1 when the channel may still write the table; a table is read up to the least read_to of these',
    files UInt64 COMMENT 'files that were read',
    files_open UInt64 COMMENT 'files of the channel that failed, or are due again: facts before read_to may be missing while there are any',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the last of the files was recorded'
)
AS
SELECT
    f.folder AS table_name,
    f.channel AS channel,
    max(f.newest_at) AS read_to,
    (f.channel, f.folder) IN
    (
        SELECT c.channel, arrayJoin(c.tables) FROM masques_ops.landing_channels_current AS c
    ) AS is_current,
    countIf(f.state IN ('loaded', 'same')) AS files,
    countIf(f.state IN ('failed', 'begun', 'due')) AS files_open,
    max(f.recorded_at) AS recorded_at
FROM
(
    SELECT
        toString(i.folder) AS folder,
        toString(i.channel) AS channel,
        toString(i.state) AS state,
        i.newest_at AS newest_at,
        i.recorded_at AS recorded_at
    FROM masques_ops.intake_files AS i FINAL
    WHERE i.state NOT IN ('passed_over', 'gone') AND i.channel != 'frame'
        -- Exchange rates have no channels, and are read as a whole.
        AND i.folder IN (SELECT arrayJoin(k.tables) FROM masques_ops.landing_channels AS k)
) AS f
GROUP BY f.folder, f.channel
COMMENT 'Up to when each table of the landing zone was read, by the clocks of those who deliver. One row per table and channel.';
