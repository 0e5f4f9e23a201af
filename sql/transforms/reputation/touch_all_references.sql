-- Everything that events refer to.
INSERT INTO masques_ops.reputation_touched_references
SELECT DISTINCT toString(reference_type), toUUIDOrZero(reference_id)
FROM masques.reputation_events
WHERE timestamp > {oldest:DateTime64(9, 'UTC')} AND reference_type NOT IN ('', 'attestation')
    AND category IN ('task_quality', 'economic', 'identity_hygiene')
    AND sipHash64(toString(reference_type), toUUIDOrZero(reference_id)) % {parts:UInt32}
        = {part:UInt32}
