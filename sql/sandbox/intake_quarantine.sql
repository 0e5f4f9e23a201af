-- Open entries of quarantine by table and reason, with the first line of each.
SELECT
    table_name AS table,
    reason,
    count() AS rows,
    min(line_no) AS first_line,
    concat(substring(toValidUTF8(argMin(raw, line_no)), 1, 40), '…') AS begins_with
FROM masques_ops.quarantine FINAL
WHERE state = 'open'
GROUP BY table_name, reason
ORDER BY table_name, reason
