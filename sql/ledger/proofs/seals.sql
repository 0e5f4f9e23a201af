-- The chain of seals, all forks included; a seal that was sent twice is there once.
SELECT
    sequence, from_ns, to_ns, events, posted, held, events_digest, previous_digest, digest
FROM masques_ops.ledger_seals FINAL
ORDER BY sequence, digest
