-- The bad lines of the batch at hand, as quarantine takes them.
SELECT source, line_no, reason, raw
FROM masques_ops.{staged:Identifier}
WHERE reason NOT IN ('', 'blank')
