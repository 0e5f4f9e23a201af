-- Settlements that are still open long after their deadline.
SELECT settlement_id, rail, network, status, failure_reason, attributes['deadline_s'] AS deadline_s
FROM masques_marts.settlements_current
WHERE status IN ('pending', 'unknown') AND attributes['closed'] = ''
    AND toInt64OrZero(attributes['deadline_s']) BETWEEN 1 AND {before_s:Int64}
ORDER BY timestamp
LIMIT 100
