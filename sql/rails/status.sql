-- Where each network and node of a rail stands, what its newest run did, its last failure, and what is
-- open on the network.
WITH
    cursors AS
    (
        SELECT rail, network, node, position, read_to, saved_at FROM masques_ops.rail_cursors FINAL
    ),
    runs AS
    (
        SELECT
            rail, network, node,
            argMax((toString(state), problem, position, behind, finished_at), finished_at) AS newest,
            argMaxIf((problem, finished_at), finished_at, state = 'failed') AS failure
        FROM masques_ops.rail_runs
        GROUP BY rail, network, node
    ),
    open AS
    (
        SELECT rail, network, count() AS open_count, min(timestamp) AS oldest
        FROM masques_marts.settlements_current
        WHERE status = 'pending' OR (status = 'unknown' AND attributes['closed'] = '')
        GROUP BY rail, network
    )
SELECT
    r.rail AS rail,
    r.network AS network,
    r.node AS node,
    r.newest.1 AS state,
    r.newest.5 AS run_at,
    if(c.rail = '', NULL, c.position) AS position,
    if(r.newest.1 IN ('read', 'behind'), r.newest.3 + r.newest.4, NULL) AS head,
    if(r.newest.1 IN ('read', 'behind'), r.newest.4, NULL) AS behind,
    c.read_to AS read_to,
    r.failure.1 AS failure,
    r.failure.2 AS failed_at,
    o.open_count AS open_count,
    o.oldest AS oldest_open
FROM runs AS r
LEFT JOIN cursors AS c ON c.rail = r.rail AND c.network = r.network AND c.node = r.node
LEFT JOIN open AS o ON o.rail = r.rail AND o.network = r.network
ORDER BY rail, network, node
