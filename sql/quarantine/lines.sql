-- One page of the selected lines, byte for byte, in the order of file and line. Whole files (line
-- 0) are not among them.
SELECT source, line_no, toString(reason) AS reason, hex(raw) AS raw_hex
FROM
(
    /*selected*/
)
WHERE line_no > 0 AND (source, line_no) > ({after_source:String}, {after_line:UInt64})
ORDER BY source, line_no
LIMIT {rows:UInt64}
