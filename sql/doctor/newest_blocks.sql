-- Time of the newest block that was read of each rail, in seconds since 1970.
SELECT rail, toUnixTimestamp64Milli(max(assumeNotNull(read_to))) / 1000 AS newest
FROM masques_ops.rail_cursors FINAL
WHERE isNotNull(read_to)
GROUP BY rail
ORDER BY rail
