-- Open holds that should have expired: their timeout passed before the time up to which the events
-- are complete. The ledger expires holds within a tenth of a second; a minute is a finding.
SELECT
    hold_id,
    ledger_number,
    held,
    toUInt64(intDiv(toInt64({until_ns:UInt64}) - toInt64(opened + timeout * 1000000000), 1000000000))
        AS overdue_s,
    count() OVER () AS findings
FROM
(
    SELECT
        hold_id,
        any(ledger) AS ledger_number,
        sum(amount) AS held,
        max(opened_ns) AS opened,
        toUInt64(max(timeout_s)) AS timeout,
        countIf(NOT is_hold) AS resolutions
    FROM
    (
        SELECT transaction_id AS hold_id, true AS is_hold, opened_ns, ledger, amount, timeout_s
        FROM masques_ops.checkpoint_holds FINAL
        WHERE checkpoint_ns = {base_ns:UInt64}
        UNION ALL
        SELECT
            if(event_type = 'two_phase_pending', transaction_id, assumeNotNull(pending_id)),
            event_type = 'two_phase_pending',
            at_ns, ledger, amount, if(event_type = 'two_phase_pending', timeout_s, 0)
        FROM masques_ops.raw_events
        WHERE timestamp > fromUnixTimestamp64Nano(toInt64({base_ns:UInt64}), 'UTC')
            AND event_type != 'single_phase'
    )
    GROUP BY hold_id
)
WHERE resolutions = 0 AND timeout > 0
    AND opened + (timeout + 60) * 1000000000 < {until_ns:UInt64}
ORDER BY overdue_s DESC
LIMIT 20
