-- The tables of one lease, with what their comments say, by the server's clock.
SELECT
    name,
    toUInt64(substring(name, length({prefix:String}) + 1)) AS number,
    comment,
    toUnixTimestamp(now()) AS now_s
FROM system.tables
WHERE database = 'masques_ops'
    AND startsWith(name, {prefix:String})
    AND match(substring(name, length({prefix:String}) + 1), '^[0-9]+$')
ORDER BY number
