-- Every hour that has a fact: a full comparison leaves nothing out.
INSERT INTO masques_ops.payments_touched_hours (hour)
SELECT DISTINCT hour FROM
(
    SELECT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour FROM masques.transactions
    UNION ALL
    SELECT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour FROM masques.api_requests
    UNION ALL
    SELECT toStartOfHour(toDateTime(donned_at, 'UTC')) AS hour FROM masques.masque_sessions
    UNION ALL
    SELECT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour FROM masques.settlements
)
