-- Sides that were read less far than the ledger, by the newest run: what they lack makes no break.
SELECT
    s.side AS side, toString(s.read_to) AS read_to,
    toUInt64(greatest(dateDiff('second', s.read_to, s.ledger), 0)) AS behind_s
FROM
(
    SELECT arrayJoin(mapKeys(r.read_to)) AS side, r.read_to[side] AS read_to, r.read_to['ledger'] AS ledger
    FROM masques_ops.reconciliation_runs AS r
    WHERE r.ended_at > toDateTime64(0, 6, 'UTC')
    ORDER BY r.began_at DESC
    LIMIT 1
) AS s
WHERE behind_s > {most_s:UInt64}
ORDER BY side
