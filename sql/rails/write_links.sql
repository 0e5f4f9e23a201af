-- Writes the links that are proved now and were not, and withdraws those that are not any more. A link
-- of a settlement whose rows are past their retention stays: no claim is about it now.
INSERT INTO masques_ops.settlement_links (settlement_id, transaction_id, recorded_at, is_deleted)
SELECT settlement_id, change.1, toDateTime64({recorded_at:String}, 6, 'UTC'), change.2
FROM
(
    SELECT
        now.settlement_id AS settlement_id,
        arrayJoin(arrayConcat(
            arrayMap(id -> (id, 0), arrayFilter(id -> NOT has(recorded.transaction_ids, id), now.transaction_ids)),
            arrayMap(id -> (id, 1), arrayFilter(id -> NOT has(now.transaction_ids, id), recorded.transaction_ids))))
            AS change
    FROM masques_ops.settlement_links_now AS now
    LEFT JOIN
    (
        SELECT settlement_id, groupArray(transaction_id) AS transaction_ids
        FROM masques_ops.settlement_links FINAL
        GROUP BY settlement_id
    ) AS recorded ON recorded.settlement_id = now.settlement_id
)
