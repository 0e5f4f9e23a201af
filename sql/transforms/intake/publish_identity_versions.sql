-- The good rows of the batch that are neither there nor repeated. It may be sent twice: what the
-- table holds is looked up again.
INSERT INTO masques_ops.identity_versions
(
    identity_id, identity_type, created_at, display_name, attributes, external_ids, status,
    status_reason, updated_at
)
SELECT
    identity_id, identity_type, created_at, display_name, attributes, external_ids, status,
    status_reason, updated_at
FROM masques_ops.identities_staged
WHERE reason = ''
    AND (chunk_no, line_no) NOT IN (SELECT chunk_no, line_no FROM masques_ops.intake_repeats)
    AND row_key NOT IN
    (
        SELECT row_key
        FROM masques_ops.identities_keys
        WHERE row_key IN (SELECT row_key FROM masques_ops.identities_staged WHERE reason = '')
    )
