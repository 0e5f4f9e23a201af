-- What became of the lines of the batch at hand, by file.
SELECT
    s.source AS source,
    count() AS rows_read,
    countIf(s.reason = 'blank') AS blank,
    countIf(s.reason = '') AS good,
    countIf(s.reason NOT IN ('', 'blank')) AS bad,
    sum(s.unknown_fields) AS unknown_fields,
    toUnixTimestamp64Nano(maxIf(s.event_at, s.reason = '')) AS newest_ns
FROM masques_ops.{staged:Identifier} AS s
GROUP BY s.source
ORDER BY s.source
