-- Keys of the batch that the table holds already, with what it holds.
INSERT INTO masques_ops.intake_known (row_key, content)
SELECT row_key, content
FROM masques_ops.{keys:Identifier}
WHERE row_key IN (SELECT row_key FROM masques_ops.{staged:Identifier} WHERE reason = '')
