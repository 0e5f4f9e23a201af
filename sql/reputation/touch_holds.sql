-- The holds of those payments, and the payments of those holds: a reference may name either.
INSERT INTO masques_ops.reputation_touched_transfers
SELECT arrayJoin([transaction_id, assumeNotNull(pending_id)])
FROM masques.transactions
WHERE pending_id IS NOT NULL
    AND (transaction_id IN (SELECT transfer_id FROM masques_ops.reputation_touched_transfers)
        OR assumeNotNull(pending_id) IN
            (SELECT transfer_id FROM masques_ops.reputation_touched_transfers))
