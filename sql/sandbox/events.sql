-- What happened, by event type and currency.
SELECT
    event_type,
    countIf(currency = 'USD') AS usd_events,
    countIf(currency = 'BTC') AS btc_events,
    countIf(currency = 'SOL') AS sol_events,
    count() AS events
FROM masques.transactions
GROUP BY event_type
ORDER BY events DESC
