-- Where rows with the keys of the batch at hand may be: what was loaded, or was about to be when a run
-- was killed. Half of a key is compared here, as that is several times quicker; some other keys may
-- have the same.
INSERT INTO masques_ops.intake_candidates (row_key, event_at)
SELECT row_key, event_at
FROM masques_ops.{key_times:Identifier}
PREWHERE key_high IN
(
    SELECT toUInt64(bitShiftRight(toUInt128(row_key), 64))
    FROM masques_ops.{staged:Identifier}
    WHERE reason = ''
)
