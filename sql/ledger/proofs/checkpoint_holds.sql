-- The holds that are open at a checkpoint: those that were at the one before or began since, without
-- those that were posted, voided or expired since.
INSERT INTO masques_ops.checkpoint_holds
SELECT
    {checkpoint_ns:UInt64},
    hold_id,
    max(opened_ns),
    any(debit_account_id),
    any(credit_account_id),
    any(ledger),
    any(amount),
    any(timeout_s),
    any(code)
FROM
(
    SELECT
        transaction_id AS hold_id, true AS is_hold, opened_ns, debit_account_id,
        credit_account_id, ledger, amount, timeout_s, code
    FROM masques_ops.checkpoint_holds FINAL
    WHERE checkpoint_ns = {base_ns:UInt64}
    UNION ALL
    SELECT
        if(event_type = 'two_phase_pending', transaction_id, assumeNotNull(pending_id)),
        event_type = 'two_phase_pending',
        at_ns, debit_account_id, credit_account_id, ledger, amount, timeout_s, code
    FROM masques_ops.raw_events
    WHERE timestamp > fromUnixTimestamp64Nano(toInt64({base_ns:UInt64}), 'UTC')
        AND timestamp <= fromUnixTimestamp64Nano(toInt64({checkpoint_ns:UInt64}), 'UTC')
        AND event_type != 'single_phase'
)
GROUP BY hold_id
HAVING countIf(NOT is_hold) = 0
