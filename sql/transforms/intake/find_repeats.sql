-- Good rows whose key came before: equal ones are duplicates, others conflicts. The first of a key
-- within the batch, in the order of the lines, is neither, unless the table has the key already.
INSERT INTO masques_ops.intake_repeats (chunk_no, line_no, source, verdict)
WITH
    contested AS
    (
        SELECT key_id, key_part
        FROM masques_ops.{staged:Identifier}
        WHERE reason = ''
        GROUP BY key_id, key_part
        HAVING count() > 1
        UNION ALL
        SELECT key_id, key_part FROM masques_ops.intake_known
    ),
    known AS
    (
        SELECT key_id, key_part, any(content) AS known_content, 1 AS is_known
        FROM masques_ops.intake_known
        GROUP BY key_id, key_part
    ),
    candidates AS
    (
        SELECT
            chunk_no,
            line_no,
            source,
            key_id,
            key_part,
            content,
            row_number() OVER in_order AS nth,
            first_value(content) OVER in_order AS first_content
        FROM masques_ops.{staged:Identifier}
        WHERE reason = '' AND (key_id, key_part) IN (SELECT key_id, key_part FROM contested)
        WINDOW in_order AS
        (
            PARTITION BY key_id, key_part ORDER BY chunk_no, line_no
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    )
SELECT
    c.chunk_no,
    c.line_no,
    c.source,
    if(c.content = if(k.is_known = 1, k.known_content, c.first_content), 'duplicate', 'conflict')
FROM candidates AS c
LEFT JOIN known AS k ON k.key_id = c.key_id AND k.key_part = c.key_part
WHERE k.is_known = 1 OR c.nth > 1
