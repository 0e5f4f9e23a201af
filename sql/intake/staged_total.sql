-- The batch at hand: its lines, with the sum of their numbers to tell whether each is there once;
-- its good rows and their keys.
SELECT
    count() AS lines,
    sum(line_no) AS lines_sum,
    countIf(reason NOT IN ('', 'blank')) AS bad,
    countIf(reason = '') AS good,
    uniqExactIf(row_key, reason = '') AS keys
FROM masques_ops.{staged:Identifier}
