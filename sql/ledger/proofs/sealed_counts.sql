-- How many events the seals after a time count, and how many rows and distinct times there are.
WITH
    sealed AS
    (
        SELECT from_ns, to_ns, events
        FROM masques_ops.ledger_seals FINAL
        WHERE from_ns >= {base_ns:UInt64}
    ),
    (SELECT (min(from_ns), max(to_ns), sum(events)) FROM sealed) AS sent
SELECT
    sent.3 AS events_sent,
    count() AS events_there,
    uniqExact(timestamp) AS times
FROM masques.transactions
WHERE timestamp > fromUnixTimestamp64Nano(toInt64(sent.1), 'UTC')
    AND timestamp <= fromUnixTimestamp64Nano(toInt64(sent.2), 'UTC')
