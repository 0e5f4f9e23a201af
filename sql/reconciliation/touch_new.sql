-- The items that have to be compared: those that a new row is about, and those whose time has come.
INSERT INTO masques_ops.payments_touched (item_id, is_compared)
WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    {since:DateTime64(6, 'UTC')} AS since,
    (
        SELECT read_to FROM masques_ops.reconciliation_runs FINAL
        WHERE began_at = {began_at:DateTime64(6, 'UTC')}
    ) AS read_to
SELECT DISTINCT item_id, 1 FROM
(
    SELECT assumeNotNull(ifNull(pending_id, transaction_id)) AS item_id
    FROM masques.transactions WHERE ingested_at >= since
    UNION ALL
    SELECT refund_of AS item_id
    FROM masques_ops.payment_links
    WHERE ingested_at >= since
        OR transaction_id IN
        (
            SELECT arrayJoin([transaction_id, ifNull(pending_id, none)])
            FROM masques.transactions WHERE ingested_at >= since
        )
    UNION ALL
    SELECT assumeNotNull(ifNull(transaction_id, request_id)) AS item_id
    FROM masques.api_requests
    WHERE ingested_at >= since
        AND (transaction_id IS NOT NULL OR payment_status IN ('paid', 'unknown', 'settlement_pending'))
    UNION ALL
    SELECT assumeNotNull(transaction_id) AS item_id
    FROM masques.masque_sessions
    WHERE transaction_id IS NOT NULL AND session_id IN
        (SELECT session_id FROM masques.masque_sessions WHERE ingested_at >= since)
    UNION ALL
    SELECT settlement_id AS item_id
    FROM masques.settlements WHERE ingested_at >= since
    UNION ALL
    SELECT arrayJoin([transaction_id, settlement_id]) AS item_id
    FROM masques_ops.settlement_links
    WHERE recorded_at >= since
        OR settlement_id IN (SELECT settlement_id FROM masques.settlements WHERE ingested_at >= since)
    UNION ALL
    -- What a run that did not end wrote of it may be a part: it may have taken back what waited.
    SELECT item_id
    FROM masques_ops.payments_log
    WHERE known_from < {began_at:DateTime64(6, 'UTC')} AND known_from >
    (
        SELECT max(began_at) FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
    )
    UNION ALL
    SELECT item_id
    FROM masques_ops.payments_log
    PREWHERE gate_waits_for != '' OR rail_waits_for != ''
    WHERE (gate_waits_for != '' AND read_to[gate_waits_for] >= gate_due_at)
        OR (rail_waits_for != '' AND read_to[rail_waits_for] >= rail_due_at)
    GROUP BY item_id, content HAVING sum(sign) > 0
)
WHERE item_id != none
SETTINGS use_skip_indexes = 0
