-- How far the newest sync came, and how far behind the clock that was when it ended.
SELECT
    watermark_ns,
    source,
    (toUnixTimestamp64Micro(recorded_at) * 1000 - watermark_ns) / 1e9 AS lag_s,
    dateDiff('second', recorded_at, now64(6, 'UTC')) AS age_s
FROM masques_ops.ledger_syncs
ORDER BY recorded_at DESC
LIMIT 1
