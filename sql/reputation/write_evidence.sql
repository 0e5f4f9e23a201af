-- What changed in what the events of the batch weigh: the old row is cancelled, the new one appended. Of
-- everything, events that are gone too. Sent twice it writes nothing more, and what a killed run wrote by
-- half is completed.
INSERT INTO masques_ops.reputation_evidence
SELECT * EXCEPT change, sum(w.change) AS sign, now64(6, 'UTC')
FROM
(
    SELECT *, 1 AS change
    FROM masques_ops.reputation_evidence_current(known_at = now64(9, 'UTC'))
    UNION ALL
    SELECT * EXCEPT (sign, known_from), -sign
    FROM masques_ops.reputation_evidence
    WHERE timestamp > {oldest:DateTime64(9, 'UTC')}
        AND if({everything:UInt8} = 1, cityHash64(identity_id) % {parts:UInt32} = {part:UInt32},
            event_id IN (SELECT event_id FROM masques_ops.reputation_batch))
) AS w
GROUP BY ALL
HAVING sign != 0
