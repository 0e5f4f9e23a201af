-- Lines of the batch at hand, and how many there are when each counts once.
SELECT count() AS lines, uniqExact(chunk_no, line_no) AS distinct_lines
FROM masques_ops.{staged:Identifier}
