-- Writes spans of the sandbox, as its world keeps them, that are not there yet; all lie in the time
-- from {from_ns} to {to_ns}, nanoseconds since 1970.
INSERT INTO otel.otel_traces
(
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes,
    ScopeName, SpanAttributes, Duration, StatusCode, StatusMessage
)
WITH
    ['gate', 'masque', 'facilitator', 'facilitator', 'ledger'] AS services,
    ['POST /v1/masques/{id}', 'serve', 'POST /verify', 'POST /settle', 'create_transfers'] AS names,
    ['Server', 'Server', 'Client', 'Client', 'Client'] AS kinds,
    ['masques.request_id', 'masques.session_id', '', '', 'masques.transaction_id'] AS subjects
SELECT
    fromUnixTimestamp64Nano(t) AS Timestamp,
    concat(leftPad(lower(hex(trace_hi)), 16, '0'), leftPad(lower(hex(trace_lo)), 16, '0')),
    span_id,
    if(parent = 0, '', leftPad(lower(hex(parent)), 16, '0')),
    names[step + 1],
    kinds[step + 1],
    services[step + 1],
    map('service.name', services[step + 1], 'deployment.environment', 'sandbox'),
    concat('masques.', services[step + 1]),
    mapFilter((name, value) -> name != '' AND value != '', map(
        'masques.masque', toString(masque),
        'http.response.status_code', if(http = 0, '', toString(http)),
        subjects[step + 1], if(about_hi = 0 AND about_lo = 0, '', toString(
            reinterpretAsUUID(concat(
                reinterpretAsFixedString(about_hi), reinterpretAsFixedString(about_lo)))))
    )),
    took,
    if(is_error = 1, 'Error', 'Unset'),
    multiIf(is_error = 0, '', step = 4, 'exceeds_credits', step = 3, 'not settled', 'failed')
FROM
(
    SELECT *, leftPad(lower(hex(span)), 16, '0') AS span_id
    FROM input('t Int64, took UInt64, trace_hi UInt64, trace_lo UInt64, span UInt64, parent UInt64, step UInt8, is_error UInt8, about_hi UInt64, about_lo UInt64, masque Int32, http UInt16')
)
WHERE span_id NOT IN
(
    SELECT SpanId FROM otel.otel_traces
    WHERE Timestamp >= fromUnixTimestamp64Nano({from_ns:Int64})
        AND Timestamp <= fromUnixTimestamp64Nano({to_ns:Int64})
)
