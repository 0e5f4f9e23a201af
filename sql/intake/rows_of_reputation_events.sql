-- Signals of trust. Fields that the table lacks go into attributes.
-- Adding 0 makes one zero of the two that doubles have.
WITH
    toUUIDOrNull(j.event_id) AS event_id_read,
    time_of(j.timestamp) AS timestamp_read,
    toUUIDOrNull(j.identity_id) AS identity_id_read,
    toFloat64OrNull(j.score_delta) AS score_delta_read,
    toFloat64OrNull(if(j.confidence = '', '1', j.confidence)) AS confidence_read,
    map_with_unknown(j.attributes, json, unknown_keys) AS attributes_read,
    map_problem(attributes_read) AS attributes_problem,
    (SELECT m.lists['attestors'] FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)
        AS attestors,
    (SELECT groupArray(c.channel) FROM masques_ops.landing_channels_current AS c WHERE c.attests = 1)
        AS attesting
SELECT
    chunk_no,
    source,
    line_no,
    line,
    multiIf(
        line_reason != '', line_reason,
        j.event_id = '', 'missing:event_id',
        isNull(event_id_read), 'bad_uuid:event_id',
        event_id_read = zero, 'missing:event_id',
        j.timestamp = '', 'missing:timestamp',
        isNull(timestamp_read), 'bad_timestamp:timestamp',
        timestamp_read > now64(9, 'UTC') + INTERVAL 1 HOUR, 'future_timestamp',
        timestamp_read < now64(9, 'UTC') - INTERVAL 3 YEAR + INTERVAL 1 DAY, 'past_retention',
        j.identity_id = '', 'missing:identity_id',
        isNull(identity_id_read), 'bad_uuid:identity_id',
        identity_id_read = zero, 'missing:identity_id',
        j.category = '', 'missing:category',
        j.category NOT IN (
            'task_quality', 'economic', 'identity_hygiene'),
            'unknown_category',
        j.event_type = '', 'missing:event_type',
        j.score_delta = '', 'missing:score_delta',
        isNull(score_delta_read) OR NOT isFinite(score_delta_read)
            -- A double has no room for 1e-400.
            OR (score_delta_read = 0 AND match(j.score_delta, '^[^eE]*[1-9]')),
            'bad_number:score_delta',
        isNull(confidence_read) OR NOT isFinite(confidence_read)
            OR (confidence_read = 0 AND match(j.confidence, '^[^eE]*[1-9]')),
            'bad_number:confidence',
        j.reference_type NOT IN (
            'session', 'transaction', 'settlement', 'request', 'attestation', ''),
            'unknown_reference_type',
        j.attributes != '' AND JSONType(j.attributes) != 'Object',
            'bad_map:attributes',
        attributes_problem != '', concat(attributes_problem, 'attributes'),
        -- Only a channel that attests may speak for the platform.
        has(attestors, lower(ifNull(attributes_read['counterparty_id'], '')))
            AND NOT has(attesting, channel), 'forged_attestor',
        '') AS row_reason,
    0 AS unknown_fields,
    ifNull(event_id_read, zero) AS event_id,
    ifNull(timestamp_read, epoch) AS timestamp,
    ifNull(identity_id_read, zero) AS identity_id,
    j.category AS category,
    j.event_type AS event_type,
    ifNull(score_delta_read, 0) + 0.0 AS score_delta,
    ifNull(confidence_read, 0) + 0.0 AS confidence,
    j.reference_type AS reference_type,
    j.reference_id AS reference_id,
    map_within_limits(attributes_read, attributes_problem) AS attributes,
    channel
FROM objects
