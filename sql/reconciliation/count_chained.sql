-- Counts the transfers for which write_chains.sql would look: those that settlements name and that have no
-- rail side, and came since a time.
WITH rail_accounts AS
(
    SELECT account_id FROM masques.accounts
    WHERE code IN (SELECT code FROM masques_ops.chart_account_codes WHERE is_rail_side)
)
SELECT count()
FROM masques.transactions
WHERE transaction_id IN
    (
        SELECT transaction_id FROM masques_ops.settlement_links
        WHERE {is_full:UInt8} OR transaction_id IN (SELECT item_id FROM masques_ops.payments_touched)
    )
    AND event_type != 'two_phase_expired'
    AND ingested_at >= {since:DateTime64(6, 'UTC')}
    AND debit_account_id NOT IN rail_accounts AND credit_account_id NOT IN rail_accounts
SETTINGS use_skip_indexes = 0
