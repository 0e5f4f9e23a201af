-- What the log says of the touched items, less what was taken back.
INSERT INTO masques_ops.payments_unsaid (item_id, content, net)
WITH compared AS (SELECT item_id FROM masques_ops.payments_touched WHERE is_compared = 1)
SELECT item_id, content, sum(sign) AS net
FROM masques_ops.payments_log
WHERE item_order IN (SELECT toUInt64(bitShiftRight(toUInt128(item_id), 64)) FROM compared)
    AND item_id IN compared
    -- Sent twice, it inserts once.
    AND (SELECT count() FROM masques_ops.payments_unsaid) = 0
GROUP BY item_id, content
HAVING net != 0
