-- Signals of trust: lines into typed rows, each with the reason why it cannot be loaded, if any.
-- Fields that the table lacks go into attributes.
INSERT INTO masques_ops.reputation_events_staged
(
    chunk_no, source, line_no, reason, raw, unknown_fields, event_id, timestamp, identity_id,
    category, event_type, score_delta, confidence, reference_type, reference_id, attributes
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
    ['event_id', 'timestamp', 'identity_id', 'category', 'event_type', 'score_delta',
    'confidence', 'reference_type', 'reference_id', 'attributes'] AS known_fields,
    isNotNull(j.event_id) + isNotNull(j.timestamp) + isNotNull(j.identity_id) +
    isNotNull(j.category) + isNotNull(j.event_type) + isNotNull(j.score_delta) +
    isNotNull(j.confidence) + isNotNull(j.reference_type) + isNotNull(j.reference_id) +
    isNotNull(j.attributes) AS fields_used,
    if(JSONLength(line) = fields_used, [], JSONExtractKeys(line)) AS keys,
    arrayFilter(k -> NOT has(known_fields, k), keys) AS keys_unknown,
    toUUIDOrNull(j.event_id) AS event_id_read,
    if(
        match(j.timestamp, time_form),
        parseDateTime64BestEffortOrNull(j.timestamp, 9, 'UTC'),
        NULL) AS timestamp_read,
    toUUIDOrNull(j.identity_id) AS identity_id_read,
    toFloat64OrNull(j.score_delta) AS score_delta_read,
    toFloat64OrNull(if(ifNull(j.confidence, '') = '', '1', j.confidence)) AS confidence_read,
    multiIf(
        problem != '', problem,
        isNotNull(j.event_id) AND startsWith(trimLeft(line), '{'), '',
        trimBoth(line, ' \t\r') = '', 'blank',
        NOT isValidJSON(line), 'invalid_json',
        JSONType(line) != 'Object', 'not_an_object',
        '') AS line_reason,
    multiIf(
        line_reason != '', line_reason,
        length(keys) != length(arrayDistinct(keys)), 'repeated_field',
        ifNull(j.event_id, '') = '', 'missing:event_id',
        isNull(event_id_read), 'bad_uuid:event_id',
        event_id_read = zero, 'missing:event_id',
        ifNull(j.timestamp, '') = '', 'missing:timestamp',
        isNull(timestamp_read), 'bad_timestamp:timestamp',
        timestamp_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp',
        timestamp_read < now64(9, 'UTC') - INTERVAL 3 YEAR + INTERVAL 1 DAY, 'past_retention',
        ifNull(j.identity_id, '') = '', 'missing:identity_id',
        isNull(identity_id_read), 'bad_uuid:identity_id',
        identity_id_read = zero, 'missing:identity_id',
        ifNull(j.category, '') = '', 'missing:category',
        j.category NOT IN (
            'task_quality', 'economic', 'identity_hygiene'),
            'unknown_category',
        ifNull(j.event_type, '') = '', 'missing:event_type',
        ifNull(j.score_delta, '') = '', 'missing:score_delta',
        isNull(score_delta_read) OR NOT isFinite(score_delta_read), 'bad_number:score_delta',
        isNull(confidence_read) OR NOT isFinite(confidence_read), 'bad_number:confidence',
        ifNull(j.reference_type, '') NOT IN (
            'session', 'transaction', 'settlement', 'request', 'attestation', ''),
            'unknown_reference_type',
        ifNull(j.attributes, '') != '' AND JSONType(ifNull(j.attributes, '')) != 'Object',
            'bad_map:attributes',
        '') AS row_reason
SELECT
    chunk_no,
    source,
    line_no,
    row_reason,
    if(row_reason IN ('', 'blank'), '', line),
    0 AS unknown,
    ifNull(event_id_read, zero),
    ifNull(timestamp_read, toDateTime64(0, 9, 'UTC')),
    ifNull(identity_id_read, zero),
    ifNull(j.category, ''),
    ifNull(j.event_type, ''),
    ifNull(score_delta_read, 0),
    ifNull(confidence_read, 0),
    ifNull(j.reference_type, ''),
    ifNull(j.reference_id, ''),
    mapSort(mapUpdate(
        if(
            empty(keys_unknown),
            CAST(map(), 'Map(String, Nullable(String))'),
            mapFilter(
                (k, v) -> isNotNull(v) AND has(keys_unknown, k),
                JSONExtract(line, 'Map(String, Nullable(String))'))),
        mapFilter(
            (k, v) -> isNotNull(v),
            JSONExtract(ifNull(j.attributes, ''), 'Map(String, Nullable(String))'))))
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
            'Tuple(event_id Nullable(String), timestamp Nullable(String),
                identity_id Nullable(String), category Nullable(String),
                event_type Nullable(String), score_delta Nullable(String),
                confidence Nullable(String), reference_type Nullable(String),
                reference_id Nullable(String), attributes Nullable(String))') AS j
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
        WHERE chunk_no NOT IN (SELECT chunk_no FROM masques_ops.reputation_events_staged)
    )
    ARRAY JOIN lines AS line, arrayEnumerate(lines) AS n
)
