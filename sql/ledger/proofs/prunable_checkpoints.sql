-- Checkpoints that are neither of the two newest nor the last of their month, nor an opening one.
SELECT
    checkpoint_ns, base_ns, accounts, open_holds, sealed_sequence, sealed_digest, sealed_events,
    is_opening
FROM
(
    SELECT
        *,
        row_number() OVER (ORDER BY checkpoint_ns DESC) AS from_newest,
        row_number() OVER (
            PARTITION BY toYYYYMM(fromUnixTimestamp64Nano(toInt64(checkpoint_ns), 'UTC'))
            ORDER BY checkpoint_ns DESC) AS from_month_end
    FROM masques_ops.balance_checkpoints FINAL
)
WHERE state = 'proven' AND from_newest > 2 AND from_month_end > 1 AND NOT is_opening
