-- Folds the ledger's events to one row per payment: a single-phase transfer, or a hold with what ended it.
-- Of all transfers those are left out that need nothing, and that nobody names: fees, and the like.
INSERT INTO masques_ops.payments_booked
    (item_id, at, done_at, transaction_type, code, ledger, payer, payee, currency, posted, held, timeout_s,
    state)
WITH
    {is_full:UInt8} AS is_full,
    (SELECT {is_full:UInt8} AND count() > 0 FROM masques_ops.payments_booked) AS is_begun,
    hours AS (SELECT hour FROM masques_ops.payments_touched_hours),
    -- A second time after a part was read: what belongs to other parts. Sent twice, it inserts once.
    touched AS
    (
        SELECT item_id FROM masques_ops.payments_touched
        WHERE item_id NOT IN (SELECT item_id FROM masques_ops.payments_booked)
    ),
    named AS
    (
        SELECT item_id FROM masques_ops.payments_gate
        UNION ALL
        SELECT item_id FROM masques_ops.payments_links
        WHERE toUInt128(item_id) BETWEEN {first_id:UInt128} AND {last_id:UInt128}
    ),
    codes AS
    (
        SELECT code FROM masques_ops.chart_transfer_codes WHERE needs IN ('request', 'session', 'settlement')
    ),
    rail_accounts AS
    (
        SELECT account_id FROM masques.accounts
        WHERE code IN (SELECT code FROM masques_ops.chart_account_codes WHERE is_rail_side)
    )
SELECT
    transaction_id, timestamp, timestamp, transaction_type, code, ledger, debit_account_id, credit_account_id,
    currency, amount, toDecimal256(0, 18), timeout_s, 'posted'
FROM masques.transactions
WHERE event_type = 'single_phase' AND is_begun = 0 AND ({is_full:UInt8} OR toStartOfHour(timestamp) IN hours)
    AND toUInt128(transaction_id) BETWEEN {first_id:UInt128} AND {last_id:UInt128}
    AND if(is_full,
        code IN codes OR debit_account_id IN rail_accounts OR credit_account_id IN rail_accounts
            OR transaction_id IN named,
        transaction_id IN touched)
UNION ALL
SELECT
    if(e.event_type = 'two_phase_pending', e.transaction_id, assumeNotNull(e.pending_id)) AS item_id,
    min(timestamp) AS first_at, max(timestamp), any(e.transaction_type), any(e.code), any(e.ledger),
    any(e.debit_account_id), any(e.credit_account_id), any(e.currency),
    sumIf(e.amount, e.event_type = 'two_phase_posted'), maxIf(e.amount, e.event_type = 'two_phase_pending'),
    max(e.timeout_s),
    multiIf(
        countIf(e.event_type = 'two_phase_posted') > 0, 'posted',
        countIf(e.event_type = 'two_phase_expired') > 0, 'expired',
        countIf(e.event_type = 'two_phase_voided') > 0, 'voided',
        'open')
FROM masques.transactions AS e
WHERE e.event_type != 'single_phase' AND is_begun = 0 AND ({is_full:UInt8} OR toStartOfHour(e.timestamp) IN hours)
    AND toUInt128(item_id) BETWEEN {first_id:UInt128} AND {last_id:UInt128} AND (is_full OR item_id IN touched)
GROUP BY item_id
SETTINGS use_skip_indexes = 0
