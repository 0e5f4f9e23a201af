-- The newest ledger time of which an event is known, in the table or sealed; 0 when there is none.
SELECT greatest(
    (SELECT toUInt64(toUnixTimestamp64Nano(max(timestamp))) FROM masques.transactions),
    (SELECT max(to_ns) FROM masques_ops.ledger_seals)) AS newest_ns
