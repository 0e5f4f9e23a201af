-- Keys and times of all rows of a table, again: a table that was restored without them has them then.
INSERT INTO masques_ops.{key_times:Identifier} (row_key, event_at)
SELECT row_key, event_at FROM masques_ops.{keys:Identifier}
