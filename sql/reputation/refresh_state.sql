-- What the engine says of the refreshable view, and of when the scores in the table are.
SELECT
    status,
    ifNull(toUnixTimestamp(last_success_time), 0) * 1000000000 AS last_success_ns,
    (
        SELECT toUnixTimestamp64Nano(max(computed_at)) FROM masques.reputation_scores
    ) AS computed_at_ns,
    toUnixTimestamp64Nano(now64(9)) AS now_ns,
    exception
FROM system.view_refreshes
WHERE database = 'masques' AND view = 'reputation_scores_mv'
