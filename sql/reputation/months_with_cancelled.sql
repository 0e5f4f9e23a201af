-- Months of the evidence with rows that cancelled others long ago, and how many rows they have.
SELECT toYYYYMM(timestamp) AS month, count()
FROM masques_ops.reputation_evidence
GROUP BY month
HAVING countIf(sign < 0 AND known_from < now64(6, 'UTC') - toIntervalDay({kept_days:UInt32})) > 0
ORDER BY month
