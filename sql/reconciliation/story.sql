-- Everything that is known of one payment, in the order in which it happened. The log knows between which
-- times all of its facts lie, but for those that came since the last run: the rest is not read.
WITH
    {item_id:UUID} AS item,
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    settled AS
    (
        SELECT settlement_id FROM masques_ops.payment_settlements WHERE item_id = item OR named_id = item
        UNION ALL SELECT item
    ),
    (
        SELECT (count(), min(first_at), max(last_at)) FROM masques_ops.payments_log
        WHERE item_order = toUInt64(bitShiftRight(toUInt128(item), 64)) AND item_id = item
    ) AS log,
    if(log.1 = 0, toDateTime64(0, 9, 'UTC'), toDateTime64(log.2, 9, 'UTC')) AS since,
    if(log.1 = 0, toDateTime64('2262-01-01', 9, 'UTC'), toDateTime64(log.3, 9, 'UTC') + INTERVAL 1 SECOND) AS until,
    (
        SELECT max(began_at) - toIntervalMillisecond({overlap_ms:UInt32}) FROM masques_ops.reconciliation_runs
        WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS newest,
    events AS
    (
        SELECT * FROM masques.transactions WHERE timestamp BETWEEN since AND until
        UNION ALL
        SELECT * FROM masques.transactions
        PREWHERE ingested_at >= newest
        WHERE NOT timestamp BETWEEN since AND until
    ),
    refunding AS (SELECT transaction_id FROM masques_ops.payment_links WHERE refund_of = item)
SELECT toString(at) AS at, source, what, id, amount, currency, detail FROM
(
    SELECT time AS at, 'gate journal' AS source, toString(kind) AS what, reference AS id, '' AS amount,
        '' AS currency, concatWithSeparator(', ', outcome, error_reason) AS detail
    FROM masques_ops.journal_events FINAL
    WHERE settlement_id IN settled OR has(transaction_ids, item)
    UNION ALL
    SELECT timestamp, 'gate', 'request', toString(request_id),
        ifNull(toString(charged), ''), toString(charged_currency),
        concat(payment_status, ', status ', toString(status_code), ', ', method, ' ', endpoint)
    FROM
    (
        SELECT * FROM masques.api_requests WHERE timestamp BETWEEN since AND until
        UNION ALL
        SELECT * FROM masques.api_requests
        PREWHERE ingested_at >= newest
        WHERE NOT timestamp BETWEEN since AND until
    )
    WHERE transaction_id = item OR request_id = item
    UNION ALL
    SELECT if(report = 'doff', ifNull(doffed_at, donned_at), donned_at), 'gate', concat('session ', report),
        toString(session_id), ifNull(toString(charged), ''), toString(charged_currency),
        concat(masque_name, ' ', masque_version)
    FROM masques.masque_sessions
    WHERE session_id IN (SELECT session_id FROM masques.masque_sessions WHERE transaction_id = item)
    UNION ALL
    SELECT timestamp, 'ledger', if(transaction_id IN refunding, 'refund', toString(event_type)),
        toString(transaction_id), toString(t.amount), toString(t.currency),
        concat(transaction_type, ', ', toString(debit_account_id), ' pays ', toString(credit_account_id),
            ', seal ', toString((
                SELECT count() FROM (SELECT DISTINCT sequence FROM masques_ops.ledger_seals
                WHERE to_ns < toUnixTimestamp64Nano((
                    SELECT max(timestamp) FROM events
                    WHERE transaction_id = item OR pending_id = item)))) + 1))
    FROM events AS t
    WHERE transaction_id = item OR pending_id = item OR transaction_id IN refunding
    UNION ALL
    SELECT timestamp, concatWithSeparator(' ', 'rail', rail, network), concat('settlement ', status), toString(settlement_id),
        toString(s.amount), toString(s.currency),
        concat('revision ', toString(revision), if(tx_hash = '', '', concat(', transaction ', tx_hash)),
            if(block_height IS NULL, '', concat(', block ', toString(block_height))),
            if(failure_reason = '', '', concat(', ', failure_reason)))
    FROM masques.settlements AS s WHERE settlement_id IN settled
    UNION ALL
    SELECT toDateTime64(known_from, 9, 'UTC'), 'reconciliation',
        if(sign > 0, 'compared', 'taken back'), toString(item_id),
        toString(greatest(gate_risk, rail_risk)), toString(p.currency),
        concatWithSeparator(', ', if(gate = '', '', concat('gate ', gate)), if(rail = '', '', concat('rail ', rail)))
    FROM masques_ops.payments_log AS p
    WHERE item_order = toUInt64(bitShiftRight(toUInt128(item), 64)) AND item_id = item AND sign > 0
    UNION ALL
    SELECT toDateTime64(said_at, 9, 'UTC'), concat('note of ', said_by), concat(leg, ' ', state), class,
        toString(n.at_risk), '', note
    FROM masques_ops.break_notes AS n WHERE item_id = item
)
ORDER BY at, source, what
SETTINGS use_skip_indexes = 0
