-- What the newest run did on each rail.
SELECT *
FROM masques_ops.rail_runs
ORDER BY rail, finished_at DESC
LIMIT 1 BY rail
