-- The good rows of the batch that are neither there nor repeated. It may be sent twice: what came since
-- the keys of the batch were looked up is left out. The staged table has the columns of the table in
-- their order.
INSERT INTO {database:Identifier}.{table:Identifier} (* EXCEPT (ingested_at))
SELECT * EXCEPT (chunk_no, source, line_no, reason, raw, unknown_fields)
FROM masques_ops.{staged:Identifier}
WHERE reason = ''
    AND (chunk_no, line_no) NOT IN (SELECT chunk_no, line_no FROM masques_ops.intake_repeats)
    AND row_key NOT IN
    (
        SELECT row_key
        FROM masques_ops.{keys:Identifier}
        WHERE ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    )
