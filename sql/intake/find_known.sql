-- Keys of the batch that the table holds already, with what it holds.
INSERT INTO masques_ops.intake_known (row_key, content)
SELECT row_key, content
FROM masques_ops.{keys:Identifier}
WHERE event_at IN (SELECT event_at FROM masques_ops.intake_candidates)
    AND row_key IN (SELECT row_key FROM masques_ops.intake_candidates)
