-- The money of each ledger: accounts by the newest snapshot, events as they are.
WITH
    balances AS
    (
        SELECT
            ledger,
            any(currency) AS currency,
            count() AS accounts,
            sum(credits_posted) AS credits_posted,
            sum(debits_posted) AS debits_posted,
            sum(credits_pending) AS credits_pending
        FROM masques.accounts FINAL
        GROUP BY ledger
    ),
    events AS
    (
        SELECT
            ledger,
            any(currency) AS currency,
            count() AS events,
            sumIf(amount, event_type IN ('single_phase', 'two_phase_posted')) AS posted,
            sumIf(amount, event_type = 'two_phase_expired') AS expired,
            sumIf(amount, event_type = 'two_phase_voided') AS voided
        FROM masques.transactions
        GROUP BY ledger
    )
SELECT
    ledger,
    if(balances.currency != '', balances.currency, events.currency) AS currency,
    accounts,
    events,
    posted,
    credits_pending AS pending,
    expired,
    voided,
    credits_posted - debits_posted AS difference
FROM balances
FULL OUTER JOIN events USING (ledger)
ORDER BY ledger
