-- The rows of the tables as the inventory counts them: bucket, writer, and one hash of all columns but
-- ingested_at. A column that was added after 022 adds its hash only where it has a value, so that the
-- hashes of older rows stay what they were. NULL and '' differ: each Nullable column stands there twice.

CREATE OR REPLACE VIEW masques_ops.inventory_of_api_requests
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    toString(toDate(timestamp)) AS bucket,
    '' AS part,
    ingested_at,
    cityHash64(
        request_id, timestamp, identity_id, isNull(session_id),
        ifNull(session_id, toUUID('00000000-0000-0000-0000-000000000000')), endpoint, method,
        resource_type, resource_id, tokens_input, tokens_output, bytes_transferred, duration_ms,
        price_usd, isNull(transaction_id),
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), status_code,
        payment_status, trace_id, span_id, channel
    ) + if(isNull(charged), 0, cityHash64('charged', charged_currency, assumeNotNull(charged)))
        AS row_hash
FROM masques.api_requests
COMMENT 'The rows of masques.api_requests, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.inventory_of_masque_sessions
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    toString(toDate(donned_at)) AS bucket,
    '' AS part,
    ingested_at,
    cityHash64(
        report, session_id, identity_id, masque_name, masque_version, masque_source, donned_at,
        isNull(doffed_at), ifNull(doffed_at, toDateTime64(0, 9, 'UTC')), isNull(duration_ms),
        ifNull(duration_ms, 0), intent, client_info, trace_id, author_id, isNull(transaction_id),
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), channel
    ) + if(isNull(charged), 0, cityHash64('charged', charged_currency, assumeNotNull(charged)))
        AS row_hash
FROM masques.masque_sessions
COMMENT 'The rows of masques.masque_sessions, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.inventory_of_settlements
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    toString(toDate(timestamp)) AS bucket,
    '' AS part,
    ingested_at,
    cityHash64(
        settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, isNull(block_height),
        ifNull(block_height, 0), confirmations, from_account_id, to_address, status,
        failure_reason, network_fee, facilitator_fee, direction, revision, recorded_at, finality,
        block_hash, network, asset, payer, payment_ref, fee_currency, isNull(transaction_id),
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000')), attributes
    ) AS row_hash
FROM masques.settlements
COMMENT 'The rows of masques.settlements, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.inventory_of_reputation_events
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    toString(toDate(timestamp)) AS bucket,
    if(channel = 'pipeline', 'pipeline', '') AS part,
    ingested_at,
    cityHash64(
        event_id, timestamp, identity_id, category, event_type, score_delta, confidence,
        reference_type, reference_id, attributes, channel
    ) AS row_hash
FROM masques.reputation_events
COMMENT 'The rows of masques.reputation_events, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.inventory_of_identity_versions
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    concat('b', leftPad(toString(cityHash64(identity_id) % 64), 2, '0')) AS bucket,
    '' AS part,
    ingested_at,
    cityHash64(
        identity_id, identity_type, created_at, display_name, attributes, external_ids, status,
        status_reason, updated_at, channel
    ) AS row_hash
FROM masques_ops.identity_versions
COMMENT 'The rows of masques_ops.identity_versions, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.inventory_of_payment_links
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    toString(toDate(timestamp)) AS bucket,
    '' AS part,
    ingested_at,
    cityHash64(
        transaction_id, refund_of, timestamp, note, channel
    ) AS row_hash
FROM masques_ops.payment_links
COMMENT 'The rows of masques_ops.payment_links, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.inventory_of_break_notes
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    toString(toDate(said_at)) AS bucket,
    '' AS part,
    ingested_at,
    cityHash64(
        item_id, leg, state, class, at_risk, note, said_by, said_at
    ) AS row_hash
FROM masques_ops.break_notes
COMMENT 'The rows of masques_ops.break_notes, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.inventory_of_positions
(
    bucket String COMMENT 'as in masques_ops.inventory',
    part String COMMENT 'as in masques_ops.inventory',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was written into this warehouse',
    row_hash UInt64 COMMENT 'one hash of all columns but ingested_at'
)
AS
SELECT
    toString(toDate(computed_at)) AS bucket,
    '' AS part,
    ingested_at,
    cityHash64(
        asset, computed_at, owed, owed_by_type, treasury, settled, vouchers, vouchers_until, on_rails,
        opening, unbooked, in_time, broken, unexplained, moved_unseen, uncovered, state, sides
    ) AS row_hash
FROM masques_ops.positions
COMMENT 'The rows of masques_ops.positions, as the inventory counts them.';

CREATE OR REPLACE VIEW masques_ops.proof_passes
(
    begun_at DateTime64(6, 'UTC') COMMENT 'when the pass began: what was written later is not in it',
    ended_at DateTime64(6, 'UTC') COMMENT 'when its last slice so far was made',
    slices UInt64 COMMENT 'slices of the pass',
    slices_left UInt64 COMMENT 'slices that are to be made yet; 0 when the pass is complete',
    slices_proved UInt64 COMMENT 'slices in which rows were compared with their source, whatever was found; files, parts and mutations do not count',
    slices_failed UInt64 COMMENT 'slices in which something is wrong',
    findings Array(String) COMMENT 'what is wrong, the first 20'
)
AS
SELECT
    pass_begun_at AS begun_at,
    max(recorded_at) AS ended_at,
    count() AS slices,
    countIf(outcome IN ('due', 'inconclusive')) AS slices_left,
    countIf(outcome IN ('holds', 'warns', 'fails')
        AND kind NOT IN ('files', 'parts', 'mutations')
        AND part NOT IN ('files', 'parts', 'mutations')) AS slices_proved,
    countIf(outcome = 'fails') AS slices_failed,
    arraySlice(
        arrayFlatten(groupArrayIf(if(empty(s.findings), [s.summary], s.findings), outcome = 'fails')),
        1, 20) AS findings
FROM masques_ops.proof_slices AS s FINAL
GROUP BY pass_begun_at
COMMENT 'Whole passes over all tables: when, how far, and what they found.';
