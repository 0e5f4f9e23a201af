-- From where to where a proof can go: the newest checkpoint, the newest transfer (nothing can land at
-- or before it any more), the time up to which the events are complete, the times of the readings.
WITH
    (
        SELECT max(checkpoint_ns)
        FROM masques_ops.balance_checkpoints FINAL
        WHERE state = 'proven'
    ) AS newest_checkpoint_ns
SELECT
    newest_checkpoint_ns AS checkpoint_ns,
    (
        SELECT toUInt64(toUnixTimestamp64Nano(max(timestamp)))
        FROM masques.transactions
        WHERE event_type != 'two_phase_expired'
            AND timestamp > fromUnixTimestamp64Nano(toInt64(newest_checkpoint_ns), 'UTC')
    ) AS settled_ns,
    (SELECT max(watermark_ns) FROM masques_ops.ledger_syncs) AS watermark_ns,
    readings.first_ns AS first_reading_ns,
    readings.last_ns AS last_reading_ns,
    readings.accounts AS accounts
FROM
(
    SELECT min(read_ns) AS first_ns, max(read_ns) AS last_ns, count() AS accounts
    FROM masques_ops.account_readings
) AS readings
