-- Keys and times of the rows that are about to be published. A key that is written twice, or whose row
-- is not written then, does no harm. The time is the one that masques_ops.<table>_keys tells.
INSERT INTO masques_ops.{key_times:Identifier} (row_key, event_at)
SELECT row_key, {event_time:Identifier}
FROM masques_ops.{staged:Identifier}
WHERE reason = ''
    AND (chunk_no, line_no) NOT IN (SELECT chunk_no, line_no FROM masques_ops.intake_repeats)
