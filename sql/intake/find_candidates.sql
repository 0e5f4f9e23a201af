-- Where rows with the keys of the batch at hand may be: what was loaded, or was about to be when a run
-- was killed. The half of a key is compared first, as that is several times quicker.
INSERT INTO masques_ops.intake_candidates (row_key, event_at)
SELECT row_key, event_at
FROM masques_ops.{key_times:Identifier}
PREWHERE key_high IN
(
    SELECT toUInt64(bitShiftRight(toUInt128(row_key), 64))
    FROM masques_ops.{staged:Identifier}
    WHERE reason = ''
)
WHERE row_key IN (SELECT row_key FROM masques_ops.{staged:Identifier} WHERE reason = '')
