-- The good rows of the batch that are neither there nor repeated, judged by the versions: the table
-- itself forgets all but the newest. Run before publish_identity_versions.
INSERT INTO masques.identities
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
