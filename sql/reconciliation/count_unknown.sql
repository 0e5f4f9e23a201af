-- Counts touched items that may be transfers from before this run: no new row is about them, and the log
-- does not know them.
WITH
    {since:DateTime64(6, 'UTC')} AS since,
    old AS
    (
        SELECT item_id FROM masques_ops.payments_touched
        WHERE item_id NOT IN (SELECT transaction_id FROM masques.transactions WHERE ingested_at >= since)
            AND item_id NOT IN (SELECT settlement_id FROM masques.settlements WHERE ingested_at >= since)
            AND item_id NOT IN (SELECT request_id FROM masques.api_requests WHERE ingested_at >= since)
    )
SELECT count() FROM old
WHERE item_id NOT IN
(
    SELECT item_id FROM masques_ops.payments_log
    WHERE item_order IN (SELECT toUInt64(bitShiftRight(toUInt128(item_id), 64)) FROM old)
)
SETTINGS use_skip_indexes = 0
