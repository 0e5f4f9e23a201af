-- The rates that are known, by currency and microsecond.
SELECT DISTINCT currency, toUnixTimestamp64Micro(toDateTime64(quoted_at, 6, 'UTC'))
FROM masques_ops.exchange_rates
