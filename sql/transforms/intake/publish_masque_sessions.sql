-- The good rows of the batch that are neither there nor repeated. It may be sent twice: what the
-- table holds is looked up again.
INSERT INTO masques.masque_sessions
(
    report, session_id, identity_id, masque_name, masque_version, masque_source, donned_at,
    doffed_at, duration_ms, intent, client_info, trace_id, author_id, transaction_id
)
SELECT
    report, session_id, identity_id, masque_name, masque_version, masque_source, donned_at,
    doffed_at, duration_ms, intent, client_info, trace_id, author_id, transaction_id
FROM masques_ops.masque_sessions_staged
WHERE reason = ''
    AND (chunk_no, line_no) NOT IN (SELECT chunk_no, line_no FROM masques_ops.intake_repeats)
    AND row_key NOT IN
    (
        SELECT row_key
        FROM masques_ops.masque_sessions_keys
        WHERE row_key IN (SELECT row_key FROM masques_ops.masque_sessions_staged WHERE reason = '')
    )
