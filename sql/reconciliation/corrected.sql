-- What a comparison of everything wrote: net 1 for what it said, -1 for what it took back.
SELECT toString(item_id) AS item_id, gate, rail, net FROM
(
    SELECT item_id, any(p.gate) AS gate, any(p.rail) AS rail, toInt64(sum(p.sign)) AS net
    FROM masques_ops.payments_log AS p
    WHERE p.known_from = {began_at:DateTime64(6, 'UTC')}
    GROUP BY item_id, content
)
ORDER BY item_id, net
LIMIT {most:UInt32}
