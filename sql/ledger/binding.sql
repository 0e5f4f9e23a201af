-- The ledger that this warehouse is a copy of; no row before the first event was seen.
SELECT
    cluster_id,
    toUnixTimestamp64Nano(first_event_at) AS first_event_ns,
    first_transfer_id,
    source,
    toString(bound_at) AS bound
FROM masques_ops.ledger_binding
ORDER BY bound_at
LIMIT 1
