-- The oldest checkpoint from which every later event is still there; no row when there is none.
SELECT checkpoint_ns
FROM masques_ops.balance_checkpoints FINAL
WHERE state = 'proven' AND checkpoint_ns >= {horizon_ns:UInt64}
ORDER BY checkpoint_ns
LIMIT 1
