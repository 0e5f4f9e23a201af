-- Requests without a span of their own, as far as spans have come.
SELECT 'spans' AS by, 'missing' AS name, toString(r.request_id) AS reference
FROM masques.api_requests AS r
WHERE r.timestamp <= (SELECT max(Timestamp) FROM otel.otel_traces)
    AND r.span_id != ''
    AND (r.trace_id, r.span_id) NOT IN (SELECT TraceId, SpanId FROM otel.otel_traces)
