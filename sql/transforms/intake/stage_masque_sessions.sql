-- Reports of sessions: lines into typed rows, each with the reason why it cannot be loaded, if any.
-- Fields that the table lacks go into client_info.
INSERT INTO masques_ops.masque_sessions_staged
(
    chunk_no, source, line_no, reason, raw, unknown_fields, report, session_id, identity_id,
    masque_name, masque_version, masque_source, donned_at, doffed_at, duration_ms, intent,
    client_info, trace_id, author_id, transaction_id
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
    ['session_id', 'report', 'identity_id', 'masque_name', 'masque_version', 'masque_source',
    'donned_at', 'doffed_at', 'duration_ms', 'intent', 'client_info', 'trace_id', 'author_id',
    'transaction_id'] AS known_fields,
    isNotNull(j.session_id) + isNotNull(j.report) + isNotNull(j.identity_id) +
    isNotNull(j.masque_name) + isNotNull(j.masque_version) + isNotNull(j.masque_source) +
    isNotNull(j.donned_at) + isNotNull(j.doffed_at) + isNotNull(j.duration_ms) +
    isNotNull(j.intent) + isNotNull(j.client_info) + isNotNull(j.trace_id) +
    isNotNull(j.author_id) + isNotNull(j.transaction_id) AS fields_used,
    if(JSONLength(line) = fields_used, [], JSONExtractKeys(line)) AS keys,
    arrayFilter(k -> NOT has(known_fields, k), keys) AS keys_unknown,
    toUUIDOrNull(j.session_id) AS session_id_read,
    toUUIDOrNull(j.identity_id) AS identity_id_read,
    toUUIDOrNull(j.author_id) AS author_id_read,
    toUUIDOrNull(j.transaction_id) AS transaction_id_read,
    if(
        match(j.donned_at, time_form),
        parseDateTime64BestEffortOrNull(j.donned_at, 9, 'UTC'),
        NULL) AS donned_at_read,
    if(
        match(j.doffed_at, time_form),
        parseDateTime64BestEffortOrNull(j.doffed_at, 9, 'UTC'),
        NULL) AS doffed_at_read,
    toUInt64OrNull(
        if(
            endsWith(j.duration_ms, '.0'),
            substring(j.duration_ms, 1, length(j.duration_ms) - 2),
            j.duration_ms)) AS duration_ms_read,
    lower(ifNull(j.trace_id, '')) AS trace_id_hex,
    multiIf(
        match(trace_id_hex, '^[0-9a-f]{32}$') AND trace_id_hex != repeat('0', 32), trace_id_hex,
        match(trace_id_hex, '^0*$'), '',
        leftPad(trace_id_hex, 32, '0')) AS trace_id_read,
    multiIf(
        problem != '', problem,
        isNotNull(j.session_id) AND startsWith(trimLeft(line), '{'), '',
        trimBoth(line, ' \t\r') = '', 'blank',
        NOT isValidJSON(line), 'invalid_json',
        JSONType(line) != 'Object', 'not_an_object',
        '') AS line_reason,
    multiIf(
        line_reason != '', line_reason,
        length(keys) != length(arrayDistinct(keys)), 'repeated_field',
        ifNull(j.session_id, '') = '', 'missing:session_id',
        isNull(session_id_read), 'bad_uuid:session_id',
        session_id_read = zero, 'missing:session_id',
        ifNull(j.report, '') = '', 'missing:report',
        j.report NOT IN (
            'don', 'doff', 'session'),
            'unknown_report',
        ifNull(j.donned_at, '') = '', 'missing:donned_at',
        isNull(donned_at_read), 'bad_timestamp:donned_at',
        donned_at_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp',
        donned_at_read < now64(9, 'UTC') - INTERVAL 2 YEAR + INTERVAL 1 DAY, 'past_retention',
        ifNull(j.doffed_at, '') != '' AND isNull(doffed_at_read), 'bad_timestamp:doffed_at',
        doffed_at_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp:doffed_at',
        doffed_at_read < toDateTime64('1970-01-01 00:00:00', 9, 'UTC'),
            'bad_timestamp:doffed_at',
        ifNull(j.duration_ms, '') != '' AND isNull(duration_ms_read), 'bad_integer:duration_ms',
        j.report != 'don' AND isNull(doffed_at_read) AND isNull(duration_ms_read),
            'missing:doffed_at',
        doffed_at_read < donned_at_read, 'doffed_before_donned',
        ifNull(j.identity_id, '') != '' AND isNull(identity_id_read), 'bad_uuid:identity_id',
        ifNull(j.author_id, '') != '' AND isNull(author_id_read), 'bad_uuid:author_id',
        ifNull(j.transaction_id, '') != '' AND isNull(transaction_id_read),
            'bad_uuid:transaction_id',
        j.report != 'doff' AND ifNull(j.masque_name, '') = '', 'missing:masque_name',
        ifNull(j.masque_source, '') NOT IN (
            'private', 'shared', 'marketplace', ''),
            'unknown_masque_source',
        ifNull(j.client_info, '') != '' AND JSONType(ifNull(j.client_info, '')) != 'Object',
            'bad_map:client_info',
        NOT match(trace_id_hex, '^[0-9a-f]{0,32}$'), 'bad_trace_id:trace_id',
        '') AS row_reason
SELECT
    chunk_no,
    source,
    line_no,
    row_reason,
    if(row_reason IN ('', 'blank'), '', line),
    0 AS unknown,
    ifNull(j.report, ''),
    ifNull(session_id_read, zero),
    ifNull(identity_id_read, zero),
    ifNull(j.masque_name, ''),
    ifNull(j.masque_version, ''),
    ifNull(j.masque_source, ''),
    ifNull(donned_at_read, toDateTime64(0, 9, 'UTC')),
    doffed_at_read,
    duration_ms_read,
    ifNull(j.intent, ''),
    mapSort(mapUpdate(
        if(
            empty(keys_unknown),
            CAST(map(), 'Map(String, Nullable(String))'),
            mapFilter(
                (k, v) -> isNotNull(v) AND has(keys_unknown, k),
                JSONExtract(line, 'Map(String, Nullable(String))'))),
        mapFilter(
            (k, v) -> isNotNull(v),
            JSONExtract(ifNull(j.client_info, ''), 'Map(String, Nullable(String))')))),
    trace_id_read,
    ifNull(author_id_read, zero),
    nullIf(transaction_id_read, zero)
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
            'Tuple(session_id Nullable(String), report Nullable(String),
                identity_id Nullable(String), masque_name Nullable(String),
                masque_version Nullable(String), masque_source Nullable(String),
                donned_at Nullable(String), doffed_at Nullable(String),
                duration_ms Nullable(String), intent Nullable(String),
                client_info Nullable(String), trace_id Nullable(String),
                author_id Nullable(String), transaction_id Nullable(String))') AS j
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
        WHERE chunk_no NOT IN (SELECT chunk_no FROM masques_ops.masque_sessions_staged)
    )
    ARRAY JOIN lines AS line, arrayEnumerate(lines) AS n
)
