-- The newest comparison of everything that ended, and how long that is ago.
SELECT
    toString(r.began_at) AS began_at, toString(r.reason) AS reason, r.corrected AS corrected,
    dateDiff('second', r.began_at, now64(6, 'UTC')) AS age_s
FROM masques_ops.reconciliation_runs AS r FINAL
WHERE r.is_full = 1 AND r.ended_at > toDateTime64(0, 6, 'UTC')
ORDER BY r.began_at DESC
LIMIT 1
