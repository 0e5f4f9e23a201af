-- The transfers that take the money which touched ones are named for.
INSERT INTO masques_ops.payments_touched (item_id, is_compared)
SELECT DISTINCT rail_transaction_id, 1
FROM masques_ops.payment_chains
WHERE transaction_id IN (SELECT item_id FROM masques_ops.payments_touched)
