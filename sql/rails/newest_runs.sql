-- What the newest run did on each network and node; those that are not read any more have none.
SELECT rail, network, node, name, state, problem, endpoint, position, behind, calls, observations,
    revisions, findings, rejected, duration_s
FROM masques_ops.rail_runs_now
ORDER BY rail, network, node
