-- The batch at hand: its lines, with the sum of their numbers to tell whether each is there once;
-- its good rows, their keys, and how many rows the table has of these keys.
SELECT
    count() AS lines,
    sum(line_no) AS lines_sum,
    countIf(reason NOT IN ('', 'blank')) AS bad,
    countIf(reason = '') AS good,
    uniqExactIf(row_key, reason = '') AS keys,
    (
        SELECT count()
        FROM masques_ops.{keys:Identifier}
        WHERE row_key IN (SELECT row_key FROM masques_ops.{staged:Identifier} WHERE reason = '')
    ) AS rows_there
FROM masques_ops.{staged:Identifier}
