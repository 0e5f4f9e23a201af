-- The last open line in quarantine of each other version of a file, byte for byte.
SELECT source, line_no, toString(reason) AS reason, hex(raw) AS raw_hex
FROM masques_ops.quarantine FINAL
WHERE table_name = {table_name:String}
    AND (source = {path:String} OR startsWith(source, concat({path:String}, '@')))
    AND source != {source:String}
    AND line_no > 0
    AND state = 'open'
ORDER BY source, line_no DESC
LIMIT 1 BY source
