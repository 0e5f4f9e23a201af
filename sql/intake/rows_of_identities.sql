-- Versions of identities. Fields that the table lacks go into attributes.
-- When somebody began is said once: by what is loaded, else by the first good line of the batch.
SELECT * REPLACE (
    if(
        row_reason = '' AND created_at != argMinIf(created_at, (chunk_no, line_no), row_reason = '')
            OVER (PARTITION BY identity_id),
        'created_at_changed', row_reason) AS row_reason)
FROM
(
    WITH
        toUUIDOrNull(j.identity_id) AS identity_id_read,
        time_of(j.created_at) AS created_at_read,
        if(j.updated_at = '', j.created_at, j.updated_at) AS updated_at_text,
        time_of(updated_at_text) AS updated_at_read,
        if(j.status = '', 'active', j.status) AS status_text,
        map_with_unknown(j.attributes, json, unknown_keys) AS attributes_read,
        map_problem(attributes_read) AS attributes_problem,
        mapSort(map_of(exact(j.external_ids))) AS external_ids_read,
        map_problem(external_ids_read) AS external_ids_problem
    SELECT
        chunk_no,
        source,
        line_no,
        line,
        multiIf(
            line_reason != '', line_reason,
            j.identity_id = '', 'missing:identity_id',
            isNull(identity_id_read), 'bad_uuid:identity_id',
            identity_id_read = zero, 'missing:identity_id',
            j.identity_type = '', 'missing:identity_type',
            j.identity_type NOT IN (
                'agent', 'user', 'service'),
                'unknown_identity_type',
            j.created_at = '', 'missing:created_at',
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
            j.attributes != '' AND JSONType(j.attributes) != 'Object',
                'bad_map:attributes',
            j.external_ids != '' AND JSONType(j.external_ids) != 'Object',
                'bad_map:external_ids',
            attributes_problem != '', concat(attributes_problem, 'attributes'),
            external_ids_problem != '', concat(external_ids_problem, 'external_ids'),
            identity_id_read IN (SELECT v.identity_id FROM masques_ops.identity_versions AS v)
                AND (identity_id_read, created_at_read) NOT IN
                    (SELECT v.identity_id, v.created_at FROM masques_ops.identity_versions AS v),
                'created_at_changed',
            '') AS row_reason,
        0 AS unknown_fields,
        ifNull(identity_id_read, zero) AS identity_id,
        j.identity_type AS identity_type,
        ifNull(created_at_read, epoch) AS created_at,
        j.display_name AS display_name,
        map_within_limits(attributes_read, attributes_problem) AS attributes,
        map_within_limits(external_ids_read, external_ids_problem) AS external_ids,
        status_text AS status,
        j.status_reason AS status_reason,
        ifNull(updated_at_read, epoch) AS updated_at,
        channel
    FROM objects
)
