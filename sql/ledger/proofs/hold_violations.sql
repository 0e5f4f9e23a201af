-- Holds that are not open, posted, voided or expired exactly once, and posts above their hold. Holds
-- that were open at the checkpoint base_ns are known; any other must be among the events since.
SELECT
    hold_id,
    ledger_number,
    holds,
    resolutions,
    held,
    posted,
    multiIf(
        holds = 0, 'resolved without being open',
        holds > 1, 'held more than once',
        resolutions > 1, 'resolved more than once',
        accounts > 1, 'resolved between other accounts',
        posted > held, 'posted above the hold',
        'released another amount than was held') AS finding,
    count() OVER () AS findings
FROM
(
    SELECT
        hold_id,
        any(ledger) AS ledger_number,
        countIf(kind = 'two_phase_pending') AS holds,
        countIf(kind != 'two_phase_pending') AS resolutions,
        uniqExact(debit_account_id, credit_account_id) AS accounts,
        sumIf(amount, kind = 'two_phase_pending') AS held,
        sumIf(amount, kind = 'two_phase_posted') AS posted,
        sumIf(amount, kind IN ('two_phase_voided', 'two_phase_expired')) AS given_back,
        countIf(kind IN ('two_phase_voided', 'two_phase_expired')) AS returns
    FROM
    (
        SELECT
            transaction_id AS hold_id, 'two_phase_pending' AS kind, debit_account_id,
            credit_account_id, ledger, amount
        FROM masques_ops.checkpoint_holds FINAL
        WHERE checkpoint_ns = {base_ns:UInt64}
        UNION ALL
        SELECT
            if(event_type = 'two_phase_pending', transaction_id, assumeNotNull(pending_id)),
            event_type, debit_account_id, credit_account_id, ledger, amount
        FROM masques_ops.raw_events
        WHERE timestamp > fromUnixTimestamp64Nano(toInt64({base_ns:UInt64}), 'UTC')
            AND event_type != 'single_phase'
    )
    GROUP BY hold_id
)
WHERE holds != 1 OR resolutions > 1 OR accounts > 1 OR posted > held
    OR (returns = 1 AND given_back != held)
ORDER BY hold_id
LIMIT 20
