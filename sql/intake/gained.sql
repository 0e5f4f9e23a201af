-- How many rows the table has gained since the batch at hand began, with the sum of the hashes of their
-- keys; and the same of the rows that it was to gain.
SELECT
    (
        SELECT (count(), sum(cityHash64(row_key)))
        FROM masques_ops.{keys:Identifier}
        WHERE ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    ) AS gained,
    (
        SELECT (count(), sum(cityHash64(row_key)))
        FROM masques_ops.{staged:Identifier}
        WHERE reason = ''
            AND (chunk_no, line_no) NOT IN (SELECT chunk_no, line_no FROM masques_ops.intake_repeats)
    ) AS wanted
