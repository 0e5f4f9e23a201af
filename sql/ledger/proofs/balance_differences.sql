-- Accounts whose balances, as the ledger showed them, are not what their events add up to.
WITH
    readings AS
    (
        SELECT account_id, ledger, read_ns, debits_pending, debits_posted, credits_pending,
            credits_posted
        FROM masques_ops.account_readings
    ),
    folded AS
    (
        SELECT
            m.account_id AS account_id,
            any(m.ledger) AS ledger,
            sum(m.debits_pending) AS debits_pending,
            sum(m.debits_posted) AS debits_posted,
            sum(m.credits_pending) AS credits_pending,
            sum(m.credits_posted) AS credits_posted
        FROM
        (
            SELECT account_id, ledger, toUInt64(0) AS at_ns, debits_pending, debits_posted,
                credits_pending, credits_posted
            FROM masques_ops.checkpoint_balances FINAL
            WHERE checkpoint_ns = {base_ns:UInt64}
            UNION ALL
            SELECT account_id, ledger, at_ns, debits_pending, debits_posted, credits_pending,
                credits_posted
            FROM masques_ops.balance_changes(base_ns = {base_ns:UInt64}, until_ns = {until_ns:UInt64})
        ) AS m
        LEFT JOIN readings AS r ON r.account_id = m.account_id
        WHERE m.at_ns <= if(r.read_ns = 0, {until_ns:UInt64}, r.read_ns)
        GROUP BY m.account_id
    )
SELECT
    if(r.read_ns = 0, f.account_id, r.account_id) AS account,
    if(r.read_ns = 0, f.ledger, r.ledger) AS ledger_number,
    r.read_ns AS read_at_ns,
    [r.debits_pending, r.debits_posted, r.credits_pending, r.credits_posted] AS shown,
    [f.debits_pending, f.debits_posted, f.credits_pending, f.credits_posted] AS added_up,
    count() OVER () AS differing
FROM readings AS r
FULL OUTER JOIN folded AS f ON f.account_id = r.account_id
WHERE shown != added_up OR r.read_ns = 0
ORDER BY account
LIMIT 20
