-- The payments that an id is about, where no table has to be read for it: an id that was compared, and a
-- request's, which an index finds. What that misses, find_payments.sql finds.
WITH
    toUUIDOrZero({key:String}) AS id,
    toUUID('00000000-0000-0000-0000-000000000000') AS none
SELECT DISTINCT toString(f.item_id) AS found_id FROM
(
    SELECT item_id FROM masques_ops.payments_log
    WHERE item_order = toUInt64(bitShiftRight(toUInt128(id), 64)) AND item_id = id
    UNION ALL
    SELECT assumeNotNull(ifNull(transaction_id, request_id)) AS item_id
    FROM masques.api_requests WHERE request_id = id
) AS f
WHERE f.item_id != none
ORDER BY found_id
