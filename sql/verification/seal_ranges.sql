-- The last seals of ranges that have about so many events and seals each, in their order.
SELECT max(sequence) AS last
FROM
(
    SELECT sequence, sum(events) OVER (ORDER BY sequence) AS events_until
    FROM masques_ops.ledger_seals FINAL
)
GROUP BY intDiv(events_until, {events:UInt64}), intDiv(sequence, {seals:UInt64})
ORDER BY last
