-- Events of the sealed batches of a month, or of the part of it that ends before end_ns. (No batch has
-- events of two months.)
SELECT sum(events) AS events
FROM masques_ops.ledger_seals FINAL
WHERE to_ns >= {start_ns:UInt64} AND to_ns < {end_ns:UInt64}
