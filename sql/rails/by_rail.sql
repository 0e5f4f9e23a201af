-- Settlements by rail, network and status, in whole units of the currency.
SELECT rail, network, currency, direction, status, settlements, amount, unattributed
FROM masques_marts.settlements_by_rail
ORDER BY rail, network, currency, direction, status
