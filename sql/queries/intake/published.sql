-- Keys of the batch at hand, and the rows that the table has of them: the two numbers must be one.
SELECT
    (
        SELECT uniqExact(key_id, key_part)
        FROM masques_ops.{staged:Identifier}
        WHERE reason = ''
    ) AS keys,
    (
        SELECT count()
        FROM masques_ops.{keys:Identifier}
        WHERE key_id IN (SELECT key_id FROM masques_ops.{staged:Identifier} WHERE reason = '')
            AND (key_id, key_part) IN
            (
                SELECT key_id, key_part FROM masques_ops.{staged:Identifier} WHERE reason = ''
            )
    ) AS rows
