-- The last seal that the pass has proved; none when it is at its beginning.
SELECT sealed_sequence, sealed_digest
FROM masques_ops.proof_slices FINAL
WHERE pass_begun_at = toDateTime64({begun_at:String}, 6, 'UTC') AND kind = 'seals' AND sealed_sequence > 0
    AND number < {number:UInt32}
ORDER BY number DESC
LIMIT 1
