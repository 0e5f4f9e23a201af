-- Time of the newest block that was read of each network and node, in seconds since 1970.
SELECT
    concatWithSeparator(' ', rail, network, node) AS place,
    toUnixTimestamp64Milli(max(assumeNotNull(read_to))) / 1000 AS newest
FROM masques_ops.rail_cursors FINAL
WHERE isNotNull(read_to)
GROUP BY rail, network, node
ORDER BY place
