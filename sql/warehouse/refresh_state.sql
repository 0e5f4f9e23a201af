-- The engine's state of a refreshable view, and the newest value of a time column of its target.
SELECT
    status,
    ifNull(toUnixTimestamp(last_success_time), 0) * 1000000000 AS last_success_ns,
    (
        SELECT toUnixTimestamp64Nano(max({computed_at:Identifier}))
        FROM {target_database:Identifier}.{target:Identifier}
    ) AS computed_at_ns,
    toUnixTimestamp64Nano(now64(9)) AS now_ns,
    exception
FROM system.view_refreshes
WHERE database = {database:String} AND view = {view:String}
