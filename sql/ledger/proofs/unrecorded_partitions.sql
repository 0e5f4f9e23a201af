-- Partitions of a checkpoint table whose checkpoint was never recorded.
SELECT DISTINCT partition
FROM system.parts
WHERE database = 'masques_ops' AND table = {table:String} AND active
    AND toUInt64(partition) NOT IN (SELECT checkpoint_ns FROM masques_ops.balance_checkpoints)
