-- The selected entries with their raw lines, shown as text.
SELECT
    toString(table_name) AS table_name,
    source,
    line_no,
    toString(reason) AS reason,
    toValidUTF8(raw) AS raw,
    first_seen,
    attempts,
    toString(state) AS state
FROM
(
    /*selected*/
)
ORDER BY table_name, source, line_no
LIMIT {rows:UInt64}
