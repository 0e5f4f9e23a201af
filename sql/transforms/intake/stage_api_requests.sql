-- What the 402 gate let through, challenged or refused: lines into typed rows, each with the reason
-- why it cannot be loaded, if any. Fields that the table lacks are counted.
INSERT INTO masques_ops.api_requests_staged
(
    chunk_no, source, line_no, reason, raw, unknown_fields, request_id, timestamp, identity_id,
    session_id, endpoint, method, resource_type, resource_id, tokens_input, tokens_output,
    bytes_transferred, duration_ms, price_usd, transaction_id, status_code, payment_status,
    trace_id, span_id
)
WITH
    -- ISO-8601, UTC when no zone is given, at most nine decimals; or epoch seconds (fractions
    -- allowed), milli-, micro- or nanoseconds, told apart by their 10, 13, 16 or 19 digits. The
    -- engine's own best effort would take 12:30 for today and 25:00 for tomorrow.
    concat(
        '^(?:',
        '\\d{4}-(?:0[1-9]|1[0-2])-\\d\\d',
        '(?:[T ](?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d{1,9})?)?',
        '(?:Z|[+-](?:[01]\\d|2[0-3]):?[0-5]\\d)?)?',
        '|\\d{10}(?:\\.\\d{1,9})?|\\d{13}|\\d{16}|\\d{19})$') AS time_form,
    toUUID('00000000-0000-0000-0000-000000000000') AS zero,
    ['request_id', 'timestamp', 'identity_id', 'session_id', 'endpoint', 'method',
    'resource_type', 'resource_id', 'tokens_input', 'tokens_output', 'bytes_transferred',
    'duration_ms', 'price_usd', 'transaction_id', 'status_code', 'payment_status', 'trace_id',
    'span_id'] AS known_fields,
    isNotNull(j.request_id) + isNotNull(j.timestamp) + isNotNull(j.identity_id) +
    isNotNull(j.session_id) + isNotNull(j.endpoint) + isNotNull(j.method) +
    isNotNull(j.resource_type) + isNotNull(j.resource_id) + isNotNull(j.tokens_input) +
    isNotNull(j.tokens_output) + isNotNull(j.bytes_transferred) + isNotNull(j.duration_ms) +
    isNotNull(j.price_usd) + isNotNull(j.transaction_id) + isNotNull(j.status_code) +
    isNotNull(j.payment_status) + isNotNull(j.trace_id) + isNotNull(j.span_id) AS fields_used,
    if(JSONLength(line) = fields_used, [], JSONExtractKeys(line)) AS keys,
    arrayFilter(k -> NOT has(known_fields, k), keys) AS keys_unknown,
    toUUIDOrNull(j.request_id) AS request_id_read,
    if(
        match(j.timestamp, time_form),
        parseDateTime64BestEffortOrNull(j.timestamp, 9, 'UTC'),
        NULL) AS timestamp_read,
    toUUIDOrNull(j.identity_id) AS identity_id_read,
    toUUIDOrNull(j.session_id) AS session_id_read,
    toUUIDOrNull(j.transaction_id) AS transaction_id_read,
    toUInt64OrNull(
        if(
            endsWith(j.tokens_input, '.0'),
            substring(j.tokens_input, 1, length(j.tokens_input) - 2),
            j.tokens_input)) AS tokens_input_read,
    toUInt64OrNull(
        if(
            endsWith(j.tokens_output, '.0'),
            substring(j.tokens_output, 1, length(j.tokens_output) - 2),
            j.tokens_output)) AS tokens_output_read,
    toUInt64OrNull(
        if(
            endsWith(j.bytes_transferred, '.0'),
            substring(j.bytes_transferred, 1, length(j.bytes_transferred) - 2),
            j.bytes_transferred)) AS bytes_transferred_read,
    toUInt64OrNull(
        if(
            endsWith(j.duration_ms, '.0'),
            substring(j.duration_ms, 1, length(j.duration_ms) - 2),
            j.duration_ms)) AS duration_ms_read,
    toUInt64OrNull(
        if(
            endsWith(j.status_code, '.0'),
            substring(j.status_code, 1, length(j.status_code) - 2),
            j.status_code)) AS status_code_read,
    -- A JSON number has been through a double; one that needs more digits than that is looked up as
    -- it was written, and taken when it is the same double.
    if(
        length(ifNull(j.price_usd, '')) < 15,
        '',
        arrayFirst(
            t -> toFloat64OrNull(t) = toFloat64OrNull(j.price_usd),
            extractAll(line, '"price_usd"\\s*:\\s*(-?[0-9][0-9.eE+-]{14,})'))) AS price_written,
    if(price_written = '', ifNull(j.price_usd, ''), price_written) AS price_text,
    toDecimal64OrNull(price_text, 6) AS price_usd_read,
    lower(ifNull(j.trace_id, '')) AS trace_id_hex,
    multiIf(
        match(trace_id_hex, '^[0-9a-f]{32}$') AND trace_id_hex != repeat('0', 32), trace_id_hex,
        match(trace_id_hex, '^0*$'), '',
        leftPad(trace_id_hex, 32, '0')) AS trace_id_read,
    lower(ifNull(j.span_id, '')) AS span_id_hex,
    if(match(span_id_hex, '^0*$'), '', leftPad(span_id_hex, 16, '0')) AS span_id_read,
    multiIf(
        problem != '', problem,
        isNotNull(j.request_id) AND startsWith(trimLeft(line), '{'), '',
        trimBoth(line, ' \t\r') = '', 'blank',
        NOT isValidJSON(line), 'invalid_json',
        JSONType(line) != 'Object', 'not_an_object',
        '') AS line_reason,
    multiIf(
        line_reason != '', line_reason,
        length(keys) != length(arrayDistinct(keys)), 'repeated_field',
        ifNull(j.request_id, '') = '', 'missing:request_id',
        isNull(request_id_read), 'bad_uuid:request_id',
        request_id_read = zero, 'missing:request_id',
        ifNull(j.timestamp, '') = '', 'missing:timestamp',
        isNull(timestamp_read), 'bad_timestamp:timestamp',
        timestamp_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp',
        timestamp_read < now64(9, 'UTC') - INTERVAL 1 YEAR + INTERVAL 1 DAY, 'past_retention',
        ifNull(j.identity_id, '') = '', 'missing:identity_id',
        isNull(identity_id_read), 'bad_uuid:identity_id',
        identity_id_read = zero, 'missing:identity_id',
        ifNull(j.session_id, '') != '' AND isNull(session_id_read), 'bad_uuid:session_id',
        ifNull(j.transaction_id, '') != '' AND isNull(transaction_id_read),
            'bad_uuid:transaction_id',
        ifNull(j.endpoint, '') = '', 'missing:endpoint',
        ifNull(j.tokens_input, '') != '' AND isNull(tokens_input_read),
            'bad_integer:tokens_input',
        ifNull(j.tokens_output, '') != '' AND isNull(tokens_output_read),
            'bad_integer:tokens_output',
        ifNull(j.bytes_transferred, '') != '' AND isNull(bytes_transferred_read),
            'bad_integer:bytes_transferred',
        ifNull(j.duration_ms, '') != '' AND isNull(duration_ms_read), 'bad_integer:duration_ms',
        ifNull(j.status_code, '') != '' AND isNull(status_code_read), 'bad_integer:status_code',
        status_code_read > 65535, 'bad_integer:status_code',
        price_text != ''
            AND (isNull(price_usd_read) OR toDecimal256OrNull(price_text, 40) != price_usd_read),
            'bad_decimal:price_usd',
        ifNull(j.payment_status, '') = '', 'missing:payment_status',
        j.payment_status NOT IN (
            'challenged', 'paid', 'free_tier', 'rejected', 'insufficient_funds',
            'settlement_pending', 'unknown'),
            'unknown_payment_status',
        NOT match(trace_id_hex, '^[0-9a-f]{0,32}$'), 'bad_trace_id:trace_id',
        NOT match(span_id_hex, '^[0-9a-f]{0,16}$'), 'bad_span_id:span_id',
        '') AS row_reason
SELECT
    chunk_no,
    source,
    line_no,
    row_reason,
    if(row_reason IN ('', 'blank'), '', line),
    length(keys_unknown) AS unknown,
    ifNull(request_id_read, zero),
    ifNull(timestamp_read, toDateTime64(0, 9, 'UTC')),
    ifNull(identity_id_read, zero),
    nullIf(session_id_read, zero),
    ifNull(j.endpoint, ''),
    upper(ifNull(j.method, '')),
    ifNull(j.resource_type, ''),
    ifNull(j.resource_id, ''),
    ifNull(tokens_input_read, 0),
    ifNull(tokens_output_read, 0),
    ifNull(bytes_transferred_read, 0),
    ifNull(duration_ms_read, 0),
    ifNull(price_usd_read, 0),
    nullIf(transaction_id_read, zero),
    toUInt16(least(ifNull(status_code_read, 0), 65535)),
    ifNull(j.payment_status, ''),
    trace_id_read,
    span_id_read
FROM
(
    SELECT
        chunk_no,
        source,
        problem,
        first_line + n - 1 AS line_no,
        line,
        JSONExtract(
            line,
            'Tuple(request_id Nullable(String), timestamp Nullable(String),
                identity_id Nullable(String), session_id Nullable(String),
                endpoint Nullable(String), method Nullable(String),
                resource_type Nullable(String), resource_id Nullable(String),
                tokens_input Nullable(String), tokens_output Nullable(String),
                bytes_transferred Nullable(String), duration_ms Nullable(String),
                price_usd Nullable(String), transaction_id Nullable(String),
                status_code Nullable(String), payment_status Nullable(String),
                trace_id Nullable(String), span_id Nullable(String))') AS j
    FROM
    (
        SELECT
            chunk_no,
            source,
            first_line,
            problem,
            if(problem = '', splitByChar('\n', chunk), [chunk]) AS lines
        FROM input(
            'chunk_no UInt32, source String, first_line UInt64, problem String, chunk String')
        WHERE chunk_no NOT IN (SELECT chunk_no FROM masques_ops.api_requests_staged)
    )
    ARRAY JOIN lines AS line, arrayEnumerate(lines) AS n
)
