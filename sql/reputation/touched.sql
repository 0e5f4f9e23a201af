-- New events, and older ones of whose reference or payment something new speaks: the payment itself, a
-- refund, its settlement, the session or request that leads to it.
WITH
    {since:DateTime64(6, 'UTC')} AS since,
    (SELECT m.lists FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS lists,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    came_in AS
    (
        SELECT transaction_id, pending_id, trace_id
        FROM masques.transactions
        WHERE ingested_at >= since
            AND (transaction_type = 'refund' OR has(lists['purchase_types'], transaction_type))
    ),
    spoken_of AS
    (
        SELECT arrayJoin([transaction_id, ifNull(pending_id, nobody)]) AS id FROM came_in
        UNION ALL
        SELECT refund_of FROM masques_ops.payment_links
        WHERE ingested_at >= since OR transaction_id IN (SELECT transaction_id FROM came_in)
        UNION ALL
        SELECT ifNull(transaction_id, nobody) FROM masques.settlements WHERE ingested_at >= since
    ),
    payments AS
    (
        SELECT id FROM spoken_of
        UNION ALL
        SELECT transaction_id FROM masques.transactions WHERE pending_id IN (SELECT id FROM spoken_of)
        UNION ALL
        SELECT transaction_id FROM masques.transactions
        WHERE trace_id IN (SELECT trace_id FROM came_in WHERE trace_id != '')
    ),
    references AS
    (
        SELECT sipHash64('session', session_id) AS key FROM masques.masque_sessions WHERE ingested_at >= since
        UNION ALL
        SELECT sipHash64('request', request_id) FROM masques.api_requests WHERE ingested_at >= since
        UNION ALL
        SELECT sipHash64('settlement', settlement_id) FROM masques.settlements WHERE ingested_at >= since
    )
SELECT event_id FROM masques.reputation_events WHERE ingested_at >= since
UNION ALL
SELECT event_id FROM masques_ops.reputation_evidence
WHERE payment_id IN (SELECT id FROM payments WHERE id != nobody) OR reference_key IN (SELECT key FROM references)
