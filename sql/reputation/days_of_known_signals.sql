-- The days of signals that are due although their keys are known: they were lost, or a run was killed
-- between key and row.
SELECT DISTINCT toString(toDate(timestamp))
FROM masques_ops.signals_due
WHERE event_id IN (SELECT event_id FROM masques_ops.signals_known)
