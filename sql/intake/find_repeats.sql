-- Good rows whose key came before: equal ones are duplicates, others conflicts. The first of a key
-- within the batch, in the order of the lines, is neither, unless the table has the key already.
INSERT INTO masques_ops.intake_repeats (chunk_no, line_no, source, verdict)
WITH
    contested AS
    (
        SELECT row_key
        FROM masques_ops.{staged:Identifier}
        WHERE reason = ''
        GROUP BY row_key
        HAVING count() > 1
        UNION ALL
        SELECT row_key FROM masques_ops.intake_known
    ),
    known AS
    (
        SELECT row_key, any(content) AS known_content, 1 AS is_known
        FROM masques_ops.intake_known
        GROUP BY row_key
    ),
    candidates AS
    (
        SELECT
            chunk_no,
            line_no,
            source,
            row_key,
            content,
            row_number() OVER in_order AS nth,
            first_value(content) OVER in_order AS first_content
        FROM masques_ops.{staged:Identifier}
        WHERE reason = '' AND row_key IN (SELECT row_key FROM contested)
        WINDOW in_order AS
        (
            PARTITION BY row_key ORDER BY chunk_no, line_no
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    )
SELECT
    c.chunk_no,
    c.line_no,
    c.source,
    if(c.content = if(k.is_known = 1, k.known_content, c.first_content), 'duplicate', 'conflict')
FROM candidates AS c
LEFT JOIN known AS k ON k.row_key = c.row_key
WHERE k.is_known = 1 OR c.nth > 1
