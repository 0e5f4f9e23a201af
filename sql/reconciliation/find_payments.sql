-- The payments that an id, a hash or a trace is about. Without skip indexes, which were seen to lose rows.
WITH
    {key:String} AS key,
    toUUIDOrZero(key) AS id,
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    match(key, '^[0-9a-f]{32}$') AS is_trace,
    -- Asked once: what stands in it is asked for twice.
    (
        SELECT groupUniqArray(settlement_id) FROM masques.settlements
        WHERE (settlement_id = id AND id != none) OR lower(tx_hash) = lower(key) OR lower(payment_ref) = lower(key)
    ) AS settled,
    links AS
    (
        SELECT settlement_id, item_id FROM masques_ops.payment_settlements
        WHERE settlement_id IN (SELECT arrayJoin(settled))
    )
SELECT DISTINCT toString(f.item_id) AS found_id FROM
(
    SELECT assumeNotNull(ifNull(pending_id, transaction_id)) AS item_id
    FROM masques.transactions
    WHERE transaction_id = id OR pending_id = id OR (is_trace AND trace_id = key)
    UNION ALL
    SELECT assumeNotNull(ifNull(transaction_id, request_id)) AS item_id
    FROM masques.api_requests
    WHERE request_id = id OR session_id = id OR transaction_id = id OR (is_trace AND trace_id = key)
    UNION ALL
    SELECT assumeNotNull(transaction_id) AS item_id
    FROM masques.masque_sessions
    WHERE transaction_id IS NOT NULL AND (session_id = id OR (is_trace AND trace_id = key))
    UNION ALL
    SELECT item_id FROM links
    UNION ALL
    SELECT arrayJoin(settled) AS item_id
    WHERE item_id NOT IN (SELECT settlement_id FROM links)
) AS f
WHERE f.item_id != none
ORDER BY found_id
LIMIT {most:UInt32}
SETTINGS use_skip_indexes = 0
