-- Writes that were begun and not ended: they run, or were killed.
SELECT part, toString(write_id), toString(begun_at), restores
FROM masques_ops.inventory_writes FINAL
WHERE table_name = {table:String} AND is_ended = 0
ORDER BY begun_at
