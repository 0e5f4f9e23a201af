-- A month of the evidence without what was cancelled long ago. Of the rows known by then each content is
-- there as often as it counts, from when it was first known; later rows are taken as they are.
INSERT INTO masques_ops.reputation_evidence_compacted
SELECT * EXCEPT (sign, known_from, later), toInt8(sum(e.sign)) AS sign, min(e.known_from)
FROM
(
    SELECT *, greatest(known_from, now64(6, 'UTC') - toIntervalDay({kept_days:UInt32})) AS later
    FROM masques_ops.reputation_evidence
    WHERE toYYYYMM(timestamp) = {month:UInt32}
) AS e
GROUP BY ALL
HAVING sign != 0
