-- The hours of touched transfers that are not new and that the log does not know. It reads the ids of all
-- transfers, so it is only asked for when there is such an item.
INSERT INTO masques_ops.payments_touched_hours (hour)
WITH
    unknown AS
    (
        SELECT item_id FROM masques_ops.payments_touched WHERE item_id NOT IN
        (
            SELECT item_id FROM masques_ops.payments_log
            WHERE item_order IN
                (SELECT toUInt64(bitShiftRight(toUInt128(item_id), 64)) FROM masques_ops.payments_touched)
        )
    )
SELECT DISTINCT toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour
FROM masques.transactions
WHERE transaction_id IN unknown OR pending_id IN unknown
SETTINGS use_skip_indexes = 0
