-- The derived signals as rows; sent twice it writes nothing more. An id that is taken is left out, and with
-- days that have lost rows, all but what was written once on these.
INSERT INTO masques.reputation_events (* EXCEPT (ingested_at))
SELECT *
FROM masques_ops.signals_due
WHERE event_id NOT IN (SELECT event_id FROM masques_ops.signals_written)
    AND (empty({lost:Array(String)})
        OR (has({lost:Array(String)}, toString(toDate(timestamp)))
            AND event_id IN (SELECT event_id FROM masques_ops.signals_known)))
LIMIT 1 BY event_id
