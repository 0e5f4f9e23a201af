-- Of all events, those of which the log does not say what it should.
INSERT INTO masques_ops.reputation_touched_events
SELECT any(event_id)
FROM
(
    SELECT event_id, reinterpretAsUInt128(content) AS key, 1 AS sign
    FROM masques_ops.reputation_evidence_current(
        part = {part:UInt32}, parts = {parts:UInt32}, everything = 1,
        oldest = {oldest:DateTime64(9, 'UTC')})
    UNION ALL
    SELECT event_id, reinterpretAsUInt128(content), -sign
    FROM masques_ops.reputation_evidence_recorded
    WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
        AND inherited_from = toUUID('00000000-0000-0000-0000-000000000000')
        AND timestamp > {oldest:DateTime64(9, 'UTC')}
) AS w
GROUP BY key
HAVING sum(w.sign) != 0
