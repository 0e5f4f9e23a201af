-- What has to be read beside the touched items: the payments that share a settlement with one, since its
-- money is divided among them, and the refunds. Those that share one with a changed item are compared
-- too: the first of them takes the difference.
INSERT INTO masques_ops.payments_touched (item_id, is_compared)
WITH compared AS (SELECT item_id FROM masques_ops.payments_touched WHERE is_compared = 1)
SELECT DISTINCT item_id, {is_compared:UInt8}
FROM masques_ops.payments_links
WHERE payments > 1 AND settlement_id IN
(
    SELECT settlement_id FROM masques_ops.payments_links WHERE payments > 1 AND item_id IN compared
)
UNION ALL
SELECT transaction_id, 0
FROM masques_ops.payment_links
WHERE refund_of IN compared
