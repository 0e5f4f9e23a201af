-- The months that have events of one ledger.
SELECT DISTINCT toYYYYMM(timestamp) AS month
FROM masques.transactions
WHERE ledger = {ledger:UInt32}
ORDER BY month
