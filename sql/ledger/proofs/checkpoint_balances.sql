-- The balances of all accounts at a checkpoint: those at the one before, and what changed since.
INSERT INTO masques_ops.checkpoint_balances
SELECT
    {checkpoint_ns:UInt64},
    account_id,
    any(ledger),
    sum(debits_pending),
    sum(debits_posted),
    sum(credits_pending),
    sum(credits_posted)
FROM
(
    SELECT account_id, ledger, debits_pending, debits_posted, credits_pending, credits_posted
    FROM masques_ops.checkpoint_balances FINAL
    WHERE checkpoint_ns = {base_ns:UInt64}
    UNION ALL
    SELECT account_id, ledger, debits_pending, debits_posted, credits_pending, credits_posted
    FROM masques_ops.balance_changes(base_ns = {base_ns:UInt64}, until_ns = {checkpoint_ns:UInt64})
)
GROUP BY account_id
