-- The good rows of the batch that are neither there nor repeated. It may be sent twice: what the
-- table holds is looked up again.
INSERT INTO masques.reputation_events
(
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence,
    reference_type, reference_id, attributes
)
SELECT
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence,
    reference_type, reference_id, attributes
FROM masques_ops.reputation_events_staged
WHERE reason = ''
    AND (chunk_no, line_no) NOT IN (SELECT chunk_no, line_no FROM masques_ops.intake_repeats)
    AND row_key NOT IN
    (
        SELECT row_key
        FROM masques_ops.reputation_events_keys
        WHERE row_key IN (SELECT row_key FROM masques_ops.reputation_events_staged WHERE reason = '')
    )
