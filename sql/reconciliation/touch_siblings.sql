-- What has to be read beside the touched items: the transfers that share a settlement with one, since
-- its money is divided among them, and the refunds. Those that share one with a changed item are
-- compared too: the first of them takes the difference.
INSERT INTO masques_ops.payments_touched (item_id, is_compared)
WITH links AS
(
    SELECT settlement_id, groupUniqArray(item_id) AS transfers
    FROM masques_ops.payment_settlements
    WHERE settlement_id IN
    (
        SELECT settlement_id FROM masques_ops.payment_settlements
        WHERE item_id IN (SELECT item_id FROM masques_ops.payments_touched WHERE is_compared = 1)
    )
    GROUP BY settlement_id
    HAVING length(transfers) > 1
)
SELECT DISTINCT arrayJoin(transfers) AS item_id, {is_compared:UInt8} FROM links
UNION ALL
SELECT transaction_id, 0
FROM masques_ops.payment_links
WHERE refund_of IN (SELECT item_id FROM masques_ops.payments_touched WHERE is_compared = 1)
