-- Rows that the table has of the keys of the batch at hand.
SELECT count() AS rows
FROM masques_ops.{keys:Identifier}
WHERE row_key IN (SELECT row_key FROM masques_ops.{staged:Identifier} WHERE reason = '')
