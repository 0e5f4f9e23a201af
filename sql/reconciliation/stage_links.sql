-- Which payments each settlement is for. One that nothing names is a payment of its own. The links of a
-- settlement are read by its id, as they are sorted: FINAL over all of them takes as long as the rest.
INSERT INTO masques_ops.payments_links (settlement_id, item_id, first_id, payments)
WITH
    {is_full:UInt8} AS is_full,
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    touched AS (SELECT item_id FROM masques_ops.payments_touched),
    chains AS (SELECT transaction_id, rail_transaction_id FROM masques_ops.payment_chains FINAL),
    links AS
    (
        SELECT
            settlement_id,
            groupUniqArray(if(c.rail_transaction_id = none, k.transaction_id, c.rail_transaction_id)) AS items
        FROM
        (
            SELECT settlement_id, transaction_id FROM masques_ops.settlement_links FINAL
            WHERE is_full OR settlement_id IN
            (
                SELECT settlement_id FROM masques_ops.settlement_links
                WHERE is_full = 0
                    AND (settlement_id IN touched OR transaction_id IN touched OR transaction_id IN
                        (SELECT transaction_id FROM chains WHERE rail_transaction_id IN touched))
            )
        ) AS k
        LEFT JOIN chains AS c ON c.transaction_id = k.transaction_id
        GROUP BY settlement_id
    )
SELECT
    if(empty(l.items), s.settlement_id, l.settlement_id) AS of_settlement,
    arrayJoin(if(empty(l.items), [s.settlement_id], l.items)) AS item_id,
    if(empty(l.items), s.settlement_id, arrayMin(l.items)) AS first_id,
    length(l.items) AS payments
FROM links AS l
FULL JOIN
(
    SELECT settlement_id FROM masques.settlements WHERE is_full
    UNION DISTINCT
    SELECT item_id FROM masques_ops.payments_touched WHERE is_full = 0
) AS s ON s.settlement_id = l.settlement_id
-- Sent twice, it inserts once.
WHERE (SELECT count() FROM masques_ops.payments_links) = 0
