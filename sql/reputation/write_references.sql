-- What changed in what the touched references prove. Sent twice it writes nothing more.
INSERT INTO masques_ops.reputation_references
SELECT reference_key, now64(6, 'UTC'), state, payer_id, payee_id, usd, kept_share, content
FROM masques_ops.reputation_references_now
WHERE (reference_key, content) NOT IN
(
    SELECT reference_key, argMax(content, known_from)
    FROM masques_ops.reputation_references
    WHERE reference_key IN (SELECT reference_key FROM masques_ops.reputation_touched_links)
    GROUP BY reference_key
)
