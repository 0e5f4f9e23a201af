-- Versions of identities: lines into typed rows, each with the reason why it cannot be loaded, if
-- any. Fields that the table lacks go into attributes.
INSERT INTO masques_ops.identities_staged
(
    chunk_no, source, line_no, reason, raw, unknown_fields, identity_id, identity_type,
    created_at, display_name, attributes, external_ids, status, status_reason, updated_at
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
    ['identity_id', 'identity_type', 'created_at', 'display_name', 'attributes',
    'external_ids', 'status', 'status_reason', 'updated_at'] AS known_fields,
    isNotNull(j.identity_id) + isNotNull(j.identity_type) + isNotNull(j.created_at) +
    isNotNull(j.display_name) + isNotNull(j.attributes) + isNotNull(j.external_ids) +
    isNotNull(j.status) + isNotNull(j.status_reason) + isNotNull(j.updated_at) AS fields_used,
    if(JSONLength(line) = fields_used, [], JSONExtractKeys(line)) AS keys,
    arrayFilter(k -> NOT has(known_fields, k), keys) AS keys_unknown,
    toUUIDOrNull(j.identity_id) AS identity_id_read,
    if(
        match(j.created_at, time_form),
        parseDateTime64BestEffortOrNull(j.created_at, 9, 'UTC'),
        NULL) AS created_at_read,
    if(ifNull(j.updated_at, '') = '', j.created_at, j.updated_at) AS updated_at_text,
    if(
        match(updated_at_text, time_form),
        parseDateTime64BestEffortOrNull(updated_at_text, 9, 'UTC'),
        NULL) AS updated_at_read,
    if(ifNull(j.status, '') = '', 'active', j.status) AS status_text,
    multiIf(
        problem != '', problem,
        isNotNull(j.identity_id) AND startsWith(trimLeft(line), '{'), '',
        trimBoth(line, ' \t\r') = '', 'blank',
        NOT isValidJSON(line), 'invalid_json',
        JSONType(line) != 'Object', 'not_an_object',
        '') AS line_reason,
    multiIf(
        line_reason != '', line_reason,
        length(keys) != length(arrayDistinct(keys)), 'repeated_field',
        ifNull(j.identity_id, '') = '', 'missing:identity_id',
        isNull(identity_id_read), 'bad_uuid:identity_id',
        identity_id_read = zero, 'missing:identity_id',
        ifNull(j.identity_type, '') = '', 'missing:identity_type',
        j.identity_type NOT IN (
            'agent', 'user', 'service'),
            'unknown_identity_type',
        ifNull(j.created_at, '') = '', 'missing:created_at',
        isNull(created_at_read), 'bad_timestamp:created_at',
        created_at_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp:created_at',
        created_at_read < toDateTime64('1970-01-01 00:00:00', 9, 'UTC'),
            'bad_timestamp:created_at',
        isNull(updated_at_read), 'bad_timestamp:updated_at',
        updated_at_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp',
        updated_at_read < toDateTime64('1970-01-01 00:00:00', 9, 'UTC'),
            'bad_timestamp:updated_at',
        updated_at_read < created_at_read, 'updated_before_created',
        status_text NOT IN (
            'active', 'suspended', 'revoked'),
            'unknown_status',
        ifNull(j.attributes, '') != '' AND JSONType(ifNull(j.attributes, '')) != 'Object',
            'bad_map:attributes',
        ifNull(j.external_ids, '') != '' AND JSONType(ifNull(j.external_ids, '')) != 'Object',
            'bad_map:external_ids',
        '') AS row_reason
SELECT
    chunk_no,
    source,
    line_no,
    row_reason,
    if(row_reason IN ('', 'blank'), '', line),
    0 AS unknown,
    ifNull(identity_id_read, zero),
    ifNull(j.identity_type, ''),
    ifNull(created_at_read, toDateTime64(0, 9, 'UTC')),
    ifNull(j.display_name, ''),
    mapSort(mapUpdate(
        if(
            empty(keys_unknown),
            CAST(map(), 'Map(String, Nullable(String))'),
            mapFilter(
                (k, v) -> isNotNull(v) AND has(keys_unknown, k),
                JSONExtract(line, 'Map(String, Nullable(String))'))),
        mapFilter(
            (k, v) -> isNotNull(v),
            JSONExtract(ifNull(j.attributes, ''), 'Map(String, Nullable(String))')))),
    mapSort(mapFilter(
            (k, v) -> isNotNull(v),
            JSONExtract(ifNull(j.external_ids, ''), 'Map(String, Nullable(String))'))),
    status_text,
    ifNull(j.status_reason, ''),
    ifNull(updated_at_read, toDateTime64(0, 9, 'UTC'))
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
            'Tuple(identity_id Nullable(String), identity_type Nullable(String),
                created_at Nullable(String), display_name Nullable(String),
                attributes Nullable(String), external_ids Nullable(String),
                status Nullable(String), status_reason Nullable(String),
                updated_at Nullable(String))') AS j
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
        WHERE chunk_no NOT IN (SELECT chunk_no FROM masques_ops.identities_staged)
    )
    ARRAY JOIN lines AS line, arrayEnumerate(lines) AS n
)
