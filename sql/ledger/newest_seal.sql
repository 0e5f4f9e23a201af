-- The end of the chain of seals.
SELECT
    sequence, from_ns, to_ns, events, posted, held, events_digest, previous_digest, digest
FROM masques_ops.ledger_seals
ORDER BY sequence DESC
LIMIT 1
