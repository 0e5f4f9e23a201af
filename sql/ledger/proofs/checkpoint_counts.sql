-- What a checkpoint holds.
SELECT
    (
        SELECT count() FROM masques_ops.checkpoint_balances FINAL
        WHERE checkpoint_ns = {checkpoint_ns:UInt64}
    ) AS accounts,
    (
        SELECT count() FROM masques_ops.checkpoint_holds FINAL
        WHERE checkpoint_ns = {checkpoint_ns:UInt64}
    ) AS open_holds
