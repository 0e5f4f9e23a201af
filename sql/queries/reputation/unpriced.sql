-- Payments behind events of the window that have no exchange rate: their dust factor is neutral.
SELECT count() AS unpriced
FROM masques_ops.reputation_references
WHERE state = 'money' AND usd < 0
