-- The slices of a pass that are to be made yet.
SELECT number, kind, part
FROM masques_ops.proof_slices FINAL
WHERE pass_begun_at = toDateTime64({begun_at:String}, 6, 'UTC') AND outcome IN ('due', 'inconclusive')
ORDER BY number
