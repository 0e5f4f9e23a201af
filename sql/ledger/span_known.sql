-- Ledger time of the first event that was ever synced, and of the newest; 0 when there is none.
SELECT
    (
        SELECT toUInt64(toUnixTimestamp64Nano(min(first_event_at)))
        FROM masques_ops.ledger_binding
        WHERE toUnixTimestamp64Nano(first_event_at) > 0
    ) AS first_ns,
    greatest(
        (SELECT toUInt64(toUnixTimestamp64Nano(max(timestamp))) FROM masques.transactions),
        (SELECT max(to_ns) FROM masques_ops.ledger_seals)) AS newest_ns
