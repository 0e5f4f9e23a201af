-- Keys of the batch that the table holds already.
INSERT INTO masques_ops.intake_known (key_id, key_part, content)
SELECT key_id, key_part, content
FROM masques_ops.{keys:Identifier}
WHERE key_id IN (SELECT key_id FROM masques_ops.{staged:Identifier} WHERE reason = '')
