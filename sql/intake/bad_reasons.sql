-- Why rows of the batch at hand are bad.
SELECT reason, count() AS rows
FROM masques_ops.{staged:Identifier}
WHERE reason NOT IN ('', 'blank')
GROUP BY reason
