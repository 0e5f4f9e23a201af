-- The spans of a trace, from the first to the last.
SELECT
    Timestamp AS at,
    ServiceName AS service,
    SpanName AS span,
    round(Duration / 1e6, 3) AS ms,
    StatusCode AS status,
    SpanId AS span_id,
    ParentSpanId AS parent_id,
    SpanAttributes AS attributes
FROM otel.otel_traces
WHERE TraceId = {trace_id:String}
ORDER BY at, span_id
