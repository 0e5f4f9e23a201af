-- Where the conflicts of the batch at hand are.
SELECT DISTINCT chunk_no, line_no, source
FROM masques_ops.intake_repeats
WHERE verdict = 'conflict'
ORDER BY chunk_no, line_no
