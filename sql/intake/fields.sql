-- The fields of a table's reports: the columns of its staged table, without those of the frame.
SELECT name
FROM system.columns
WHERE database = 'masques_ops'
    AND table = {staged:String}
    AND default_kind = ''
    AND name NOT IN ('chunk_no', 'source', 'line_no', 'reason', 'raw', 'unknown_fields', 'channel')
ORDER BY position
