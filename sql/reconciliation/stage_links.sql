-- Which payments each settlement is for. One that nothing names is a payment of its own.
INSERT INTO masques_ops.payments_links (settlement_id, item_id, first_id, payments)
WITH
    {is_full:UInt8} AS is_full,
    touched AS (SELECT item_id FROM masques_ops.payments_touched),
    links AS
    (
        SELECT settlement_id, groupUniqArray(item_id) AS items
        FROM masques_ops.payment_settlements
        WHERE is_full OR settlement_id IN touched OR settlement_id IN
        (
            SELECT settlement_id FROM masques_ops.payment_settlements
            WHERE is_full = 0 AND item_id IN touched
        )
        GROUP BY settlement_id
    )
SELECT settlement_id, arrayJoin(items) AS item_id, arrayMin(items) AS first_id, length(items) AS payments
FROM links
UNION ALL
SELECT settlement_id, settlement_id, settlement_id, 0
FROM
(
    SELECT settlement_id FROM masques.settlements WHERE is_full
    UNION DISTINCT
    SELECT item_id FROM masques_ops.payments_touched WHERE is_full = 0
)
WHERE settlement_id NOT IN (SELECT settlement_id FROM links)
