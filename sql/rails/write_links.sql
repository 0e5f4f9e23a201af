-- Writes the links that are proved now and were not, and withdraws those that are not any more. A link
-- of a settlement whose rows are past their retention stays.
INSERT INTO masques_ops.settlement_links (settlement_id, transaction_id, recorded_at, is_deleted)
WITH
    proved AS (SELECT settlement_id, transaction_id FROM masques_ops.settlement_links_now),
    recorded AS (SELECT settlement_id, transaction_id FROM masques_ops.settlement_links FINAL)
SELECT settlement_id, transaction_id, toDateTime64({recorded_at:String}, 6, 'UTC'), 0
FROM proved
WHERE (settlement_id, transaction_id) NOT IN (SELECT settlement_id, transaction_id FROM recorded)
UNION ALL
SELECT settlement_id, transaction_id, toDateTime64({recorded_at:String}, 6, 'UTC'), 1
FROM recorded
WHERE (settlement_id, transaction_id) NOT IN (SELECT settlement_id, transaction_id FROM proved)
    AND settlement_id IN (SELECT settlement_id FROM masques_ops.settlement_claims_now)
