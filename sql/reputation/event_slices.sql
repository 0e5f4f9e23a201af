-- Until when the events go of which a slice has at most so many, oldest slice first.
SELECT toString(max(timestamp)) AS until
FROM
(
    SELECT timestamp
    FROM masques.reputation_events
    WHERE timestamp > {oldest:DateTime64(9, 'UTC')}
    ORDER BY timestamp
)
GROUP BY intDiv(rowNumberInAllBlocks(), {slice_rows:UInt64}) AS slice
ORDER BY slice
