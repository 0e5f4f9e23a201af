-- What each account's balances changed by on each day, from one checkpoint to the next.
INSERT INTO masques_ops.account_days
SELECT
    account_id,
    toDate32(fromUnixTimestamp64Nano(toInt64(at_ns), 'UTC')) AS day,
    {checkpoint_ns:UInt64},
    any(ledger),
    sum(debits_pending),
    sum(debits_posted),
    sum(credits_pending),
    sum(credits_posted),
    count()
FROM masques_ops.balance_changes(base_ns = {base_ns:UInt64}, until_ns = {checkpoint_ns:UInt64})
GROUP BY account_id, day
