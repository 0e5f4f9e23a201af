-- Open entries of whole files that were read to their end now, or came again under the same path.
INSERT INTO masques_ops.quarantine
    (table_name, source, line_no, reason, raw, first_seen, attempts, state, updated_at)
SELECT table_name, source, line_no, reason, raw, first_seen, attempts + 1, 'replayed', now64(6)
FROM masques_ops.quarantine FINAL
WHERE table_name = {table_name:String}
    AND state = 'open'
    AND line_no = 0
    AND replaceRegexpOne(source, '@[0-9a-f]{8}$', '') IN {paths:Array(String)}
