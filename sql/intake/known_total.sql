-- How many keys of the batch at hand the table had already.
SELECT uniqExact(row_key) AS keys FROM masques_ops.intake_known
