-- The newest pass, and the newest that is complete and had something to prove.
SELECT
    begun_at, ended_at, slices, slices_left, slices_proved, slices_failed, findings,
    dateDiff('second', ended_at, now64(6, 'UTC')) AS age_s
FROM masques_ops.proof_passes
ORDER BY slices_left = 0 AND slices_proved > 0 DESC, begun_at DESC
LIMIT 1
UNION ALL
SELECT
    begun_at, ended_at, slices, slices_left, slices_proved, slices_failed, findings,
    dateDiff('second', ended_at, now64(6, 'UTC')) AS age_s
FROM masques_ops.proof_passes
ORDER BY begun_at DESC
LIMIT 1
