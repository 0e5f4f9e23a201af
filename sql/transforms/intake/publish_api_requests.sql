-- The good rows of the batch that are neither there nor repeated. It may be sent twice: what the
-- table holds is looked up again.
INSERT INTO masques.api_requests
(
    request_id, timestamp, identity_id, session_id, endpoint, method, resource_type,
    resource_id, tokens_input, tokens_output, bytes_transferred, duration_ms, price_usd,
    transaction_id, status_code, payment_status, trace_id, span_id
)
SELECT
    request_id, timestamp, identity_id, session_id, endpoint, method, resource_type,
    resource_id, tokens_input, tokens_output, bytes_transferred, duration_ms, price_usd,
    transaction_id, status_code, payment_status, trace_id, span_id
FROM masques_ops.api_requests_staged
WHERE reason = ''
    AND (chunk_no, line_no) NOT IN (SELECT chunk_no, line_no FROM masques_ops.intake_repeats)
    AND row_key NOT IN
    (
        SELECT row_key
        FROM masques_ops.api_requests_keys
        WHERE row_key IN (SELECT row_key FROM masques_ops.api_requests_staged WHERE reason = '')
    )
