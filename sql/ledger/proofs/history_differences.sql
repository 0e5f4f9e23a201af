-- Accounts whose balances at the newest checkpoint are not what all events, or the days, add up to.
SELECT
    account_id,
    any(ledger_number) AS ledger,
    [sumIf(dp, kind = 1), sumIf(d, kind = 1), sumIf(cp, kind = 1), sumIf(c, kind = 1)] AS kept,
    [sumIf(dp, kind = 2), sumIf(d, kind = 2), sumIf(cp, kind = 2), sumIf(c, kind = 2)] AS added,
    [sumIf(dp, kind = 3), sumIf(d, kind = 3), sumIf(cp, kind = 3), sumIf(c, kind = 3)] AS by_days
FROM
(
    SELECT 1 AS kind, account_id, ledger AS ledger_number, debits_pending AS dp,
        debits_posted AS d, credits_pending AS cp, credits_posted AS c
    FROM masques_ops.checkpoint_balances FINAL
    WHERE checkpoint_ns = {checkpoint_ns:UInt64}
    UNION ALL
    SELECT 2, account_id, ledger, debits_pending, debits_posted, credits_pending, credits_posted
    FROM masques_ops.checkpoint_balances FINAL
    WHERE checkpoint_ns = {base_ns:UInt64} AND {base_ns:UInt64} != {checkpoint_ns:UInt64}
    UNION ALL
    SELECT 2, account_id, ledger, debits_pending, debits_posted, credits_pending, credits_posted
    FROM masques_ops.balance_changes(base_ns = {base_ns:UInt64}, until_ns = {checkpoint_ns:UInt64})
    UNION ALL
    SELECT 2, account_id, ledger, debits_pending, debits_posted, credits_pending, credits_posted
    FROM masques_ops.checkpoint_balances FINAL
    WHERE checkpoint_ns = {checkpoint_ns:UInt64} AND {base_ns:UInt64} = {checkpoint_ns:UInt64}
    UNION ALL
    SELECT 3, account_id, ledger, debits_pending, debits_posted, credits_pending, credits_posted
    FROM masques_ops.account_days FINAL
    WHERE checkpoint_ns IN (SELECT checkpoint_ns FROM masques_ops.balance_checkpoints)
)
GROUP BY account_id
HAVING kept != added OR kept != by_days
ORDER BY account_id
LIMIT 20
