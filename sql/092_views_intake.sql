-- What each table of the intake holds, as the keys and contents that a batch is compared with. The
-- columns row_key and content are computed as in masques_ops.<table>_staged (009).

CREATE OR REPLACE VIEW masques_ops.api_requests_keys AS
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

CREATE OR REPLACE VIEW masques_ops.reputation_events_keys AS
SELECT
    event_id AS row_key,
    sipHash128(
        timestamp, identity_id, category, event_type, score_delta, confidence,
        reference_type, reference_id, attributes) AS content,
    ingested_at
FROM masques.reputation_events;

CREATE OR REPLACE VIEW masques_ops.masque_sessions_keys AS
SELECT
    reinterpretAsUUID(sipHash128(session_id, toString(report))) AS row_key,
    sipHash128(
        identity_id, masque_name, masque_version, masque_source, donned_at,
        ifNull(toUnixTimestamp64Nano(doffed_at), -1), ifNull(toString(duration_ms), ''),
        intent, client_info, trace_id, author_id,
        ifNull(transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))) AS content,
    ingested_at
FROM masques.masque_sessions;

CREATE OR REPLACE VIEW masques_ops.identities_keys AS
SELECT
    reinterpretAsUUID(sipHash128(identity_id, updated_at)) AS row_key,
    sipHash128(
        identity_type, created_at, display_name, attributes, external_ids, status,
        status_reason) AS content,
    ingested_at
FROM masques_ops.identity_versions;
