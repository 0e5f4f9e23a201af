-- Open rows of quarantine that the batch has loaded, or found to be there already.
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT
    table_name, source, line_no, reason, raw, first_seen, attempts + 1, 'replayed', now64(6)
FROM masques_ops.quarantine FINAL
WHERE table_name = {table_name:String}
    AND state = 'open'
    AND (source, line_no) IN
    (
        SELECT source, line_no
        FROM masques_ops.{staged:Identifier}
        WHERE reason = '' AND (chunk_no, line_no) NOT IN
        (
            SELECT chunk_no, line_no FROM masques_ops.intake_repeats WHERE verdict = 'conflict'
        )
    )
