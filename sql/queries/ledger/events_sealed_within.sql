-- Events of the sealed batches that lie wholly in a span of ledger time.
SELECT sum(events) AS events
FROM masques_ops.ledger_seals FINAL
WHERE from_ns >= {start_ns:UInt64} AND to_ns < {end_ns:UInt64}
