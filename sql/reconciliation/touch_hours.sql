-- The hours in which all facts of the touched items lie: those of new rows, those that the log knows of
-- an item, and those of settlements that the log does not know. Of transfers: touch_old_hours.sql.
INSERT INTO masques_ops.payments_touched_hours (hour)
WITH
    {since:DateTime64(6, 'UTC')} AS since,
    known AS
    (
        SELECT item_id, min(first_at) AS first_at, max(last_at) AS last_at
        FROM masques_ops.payments_log
        WHERE item_order IN
            (SELECT toUInt64(bitShiftRight(toUInt128(item_id), 64)) FROM masques_ops.payments_touched)
            AND item_id IN (SELECT item_id FROM masques_ops.payments_touched)
        GROUP BY item_id
    )
SELECT DISTINCT hour FROM
(
    SELECT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour
    FROM masques.transactions WHERE ingested_at >= since
    UNION ALL
    SELECT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour
    FROM masques.api_requests
    WHERE ingested_at >= since
        AND (transaction_id IS NOT NULL OR payment_status IN ('paid', 'unknown', 'settlement_pending'))
    UNION ALL
    SELECT toStartOfHour(toDateTime(donned_at, 'UTC')) AS hour
    FROM masques.masque_sessions WHERE ingested_at >= since
    UNION ALL
    SELECT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour
    FROM masques.settlements WHERE ingested_at >= since
    UNION ALL
    SELECT toDateTime(arrayJoin(range(
        toUInt32(toStartOfHour(first_at)), toUInt32(last_at) + 1, 3600)), 'UTC') AS hour
    FROM known
    UNION ALL
    SELECT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour
    FROM masques.settlements
    WHERE settlement_id IN
    (
        SELECT item_id FROM masques_ops.payments_touched WHERE item_id NOT IN (SELECT item_id FROM known)
    )
)
SETTINGS use_skip_indexes = 0
