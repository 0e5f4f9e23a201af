-- One page of the selected lines from `first_line` on, byte for byte, in the order of file and line.
-- Line 0 is a file as a whole.
SELECT source, line_no, toString(reason) AS reason, hex(raw) AS raw_hex
FROM
(
    /*selected*/
)
WHERE line_no >= {first_line:UInt64} AND (source, line_no) > ({after_source:String}, {after_line:UInt64})
ORDER BY source, line_no
LIMIT {rows:UInt64}
