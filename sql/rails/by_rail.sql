-- Settlements by rail and status, in whole units of the currency.
SELECT rail, currency, direction, status, settlements, amount, unattributed
FROM masques_marts.settlements_by_rail
ORDER BY rail, currency, direction, status
