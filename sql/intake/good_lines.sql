-- The lines of the batch at hand that were loaded, or found to be there already.
SELECT source, line_no
FROM masques_ops.{staged:Identifier}
WHERE reason = '' AND (chunk_no, line_no) NOT IN
(
    SELECT chunk_no, line_no FROM masques_ops.intake_repeats WHERE verdict = 'conflict'
)
