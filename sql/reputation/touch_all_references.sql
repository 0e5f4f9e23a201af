-- Everything that the events of a slice of time refer to.
INSERT INTO masques_ops.reputation_touched_references
SELECT DISTINCT toString(reference_type), toUUIDOrZero(reference_id)
FROM masques.reputation_events
WHERE timestamp > {after:DateTime64(9, 'UTC')} AND timestamp <= {until:DateTime64(9, 'UTC')}
    AND reference_type NOT IN ('', 'attestation')
    AND category IN ('task_quality', 'economic', 'identity_hygiene')
