-- The ledger that this warehouse is a copy of: cluster, first event and newest sealed event. No cluster
-- before the first sync; a first event of 0 before the ledger had one.
SELECT
    groupUniqArray(toString(cluster_id)) AS clusters,
    toUInt64(max(toUnixTimestamp64Nano(first_event_at))) AS first_event_ns,
    argMax(first_transfer_id, first_event_at) AS first_transfer,
    argMin(source, bound_at) AS bound_source,
    toString(min(bound_at)) AS bound,
    (
        SELECT max(to_ns)
        FROM (SELECT to_ns FROM masques_ops.ledger_seals ORDER BY sequence DESC LIMIT 1)
    ) AS newest_sealed_ns
FROM masques_ops.ledger_binding
