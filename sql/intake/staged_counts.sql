-- What the lines of the batch at hand are, by file and reason; with the sum of their numbers, to tell
-- whether each is there once, and how many different keys all good rows have.
SELECT
    s.source AS source,
    toString(s.reason) AS reason,
    count() AS lines,
    sum(s.line_no) AS lines_sum,
    sum(s.unknown_fields) AS unknown_fields,
    toUnixTimestamp64Nano(max(s.event_at)) AS newest_ns,
    (SELECT uniqExact(row_key) FROM masques_ops.{staged:Identifier} WHERE reason = '') AS keys
FROM masques_ops.{staged:Identifier} AS s
GROUP BY s.source, s.reason
ORDER BY s.source, s.reason
