-- All items of one part: those that any fact is about, and those of the log that may not be any more.
-- What is older than requests are kept has lost its facts: it stays as it is.
INSERT INTO masques_ops.payments_touched (item_id, is_compared)
WITH
    {kept_from:DateTime64(6, 'UTC')} AS kept_from,
    toUUID('00000000-0000-0000-0000-000000000000') AS none
SELECT DISTINCT item_id, 1 FROM
(
    SELECT assumeNotNull(ifNull(pending_id, transaction_id)) AS item_id
    FROM masques.transactions
    WHERE timestamp >= kept_from
        AND (event_type != 'single_phase'
            OR code IN
            (
                SELECT code FROM masques_ops.chart_transfer_codes
                WHERE needs IN ('request', 'session', 'settlement')
            )
            OR debit_account_id IN (SELECT account_id FROM masques.accounts WHERE code IN
                (SELECT code FROM masques_ops.chart_account_codes WHERE is_rail_side))
            OR credit_account_id IN (SELECT account_id FROM masques.accounts WHERE code IN
                (SELECT code FROM masques_ops.chart_account_codes WHERE is_rail_side)))
    UNION ALL
    SELECT assumeNotNull(ifNull(transaction_id, request_id)) AS item_id
    FROM masques.api_requests
    WHERE timestamp >= kept_from
        AND (transaction_id IS NOT NULL OR payment_status IN ('paid', 'unknown', 'settlement_pending'))
    UNION ALL
    SELECT assumeNotNull(transaction_id) AS item_id
    FROM masques.masque_sessions WHERE transaction_id IS NOT NULL AND donned_at >= kept_from
    UNION ALL
    SELECT settlement_id AS item_id FROM masques.settlements WHERE timestamp >= kept_from
    UNION ALL
    SELECT transaction_id AS item_id FROM masques_ops.settlement_links
    WHERE settlement_id IN (SELECT settlement_id FROM masques.settlements WHERE timestamp >= kept_from)
    UNION ALL
    SELECT item_id FROM masques_ops.payments_log
    WHERE at >= kept_from GROUP BY item_id, content HAVING sum(sign) != 0
)
WHERE item_id != none AND cityHash64(item_id) % {parts:UInt32} = {part:UInt32}
SETTINGS use_skip_indexes = 0
