-- All items of one part: those that any fact is about, and those of the log that may not be any more.
-- What is older than requests are kept has lost its facts: it stays as it is.
INSERT INTO masques_ops.payments_touched (item_id, is_compared)
WITH {kept_from:DateTime64(6, 'UTC')} AS kept_from
SELECT DISTINCT item_id, 1 FROM
(
    SELECT item_id FROM masques_ops.payments_booked WHERE done_at >= kept_from
    UNION ALL
    SELECT item_id FROM masques_ops.payments_gate WHERE last_at >= kept_from
    UNION ALL
    SELECT item_id FROM masques_ops.payments_links
    WHERE toUInt128(item_id) BETWEEN {first_id:UInt128} AND {last_id:UInt128}
        AND settlement_id IN (SELECT settlement_id FROM masques.settlements WHERE timestamp >= kept_from)
    UNION ALL
    SELECT item_id FROM masques_ops.payments_log
    WHERE at >= kept_from AND toUInt128(item_id) BETWEEN {first_id:UInt128} AND {last_id:UInt128}
        AND item_order BETWEEN toUInt64(bitShiftRight({first_id:UInt128}, 64)) AND toUInt64(bitShiftRight({last_id:UInt128}, 64))
    GROUP BY item_id, content HAVING sum(sign) != 0
)
