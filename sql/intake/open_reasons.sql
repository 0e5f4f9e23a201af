-- Why rows of one table are in quarantine, most frequent first.
SELECT toString(reason) AS reason, count() AS rows, min(first_seen) AS oldest
FROM masques_ops.quarantine FINAL
WHERE table_name = {table_name:String} AND state = 'open'
GROUP BY reason
ORDER BY rows DESC, reason
LIMIT 10
