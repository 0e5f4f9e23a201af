-- Debits and credits of each ledger at one time: every account as it was last read, moved on to
-- until_ns by the events since. Also the accounts read, against those that the reading counted.
WITH readings AS
(
    SELECT account_id, ledger, read_ns, debits_pending, debits_posted, credits_pending,
        credits_posted
    FROM masques_ops.account_readings
)
SELECT
    ledger,
    sum(debits_pending) AS pending_debits,
    sum(credits_pending) AS pending_credits,
    sum(debits_posted) AS posted_debits,
    sum(credits_posted) AS posted_credits
FROM
(
    SELECT ledger, debits_pending, debits_posted, credits_pending, credits_posted
    FROM readings
    UNION ALL
    SELECT m.ledger, m.debits_pending, m.debits_posted, m.credits_pending, m.credits_posted
    FROM masques_ops.balance_changes(base_ns = {base_ns:UInt64}, until_ns = {until_ns:UInt64}) AS m
    INNER JOIN readings AS r ON r.account_id = m.account_id
    WHERE m.at_ns > r.read_ns
)
GROUP BY ledger
ORDER BY ledger
