-- Rows whose names contradict their numbers: no version of the chart ever gave that currency or type,
-- or the status is not that of the event.
WITH
    (
        SELECT groupArray((c.code, c.name)) FROM masques_ops.chart_entries AS c
        WHERE c.kind = 'ledger'
    ) AS assets,
    (
        SELECT groupArray((c.code, c.name)) FROM masques_ops.chart_entries AS c
        WHERE c.kind = 'transfer_code'
    ) AS types
SELECT ledger, code, currency, transaction_type, event_type, status, keys, is_odd, count() AS rows,
    toUInt64(toUnixTimestamp64Nano(min(timestamp))) AS first_ns
FROM
(
    SELECT
        t.ledger AS ledger, toUInt32(t.code) AS code, toString(t.currency) AS currency,
        toString(t.transaction_type) AS transaction_type, toString(t.event_type) AS event_type,
        toString(t.status) AS status, mapKeys(t.attributes) AS keys, t.timestamp AS timestamp,
        -- What the digest cannot tell apart: upper-case digits, zeros written out, 007.
        NOT match(t.trace_id, '^([0-9a-f]{32})?$') OR t.trace_id = repeat('0', 32)
            OR NOT match(t.span_id, '^([0-9a-f]{16})?$') OR t.span_id = repeat('0', 16)
            OR (t.resource_id = '') != (t.resource_type = '')
            OR NOT match(t.resource_id, '^(0|[1-9][0-9]*)?$') AS is_odd
    FROM masques.transactions AS t
    WHERE t.timestamp > fromUnixTimestamp64Nano(toInt64({from_ns:UInt64}), 'UTC')
)
GROUP BY ledger, code, currency, transaction_type, event_type, status, keys, is_odd
HAVING is_odd OR NOT (currency = concat('ledger_', toString(ledger)) OR has(assets, (ledger, currency)))
    OR NOT (transaction_type = concat('code_', toString(code)) OR has(types, (code, transaction_type)))
    OR status != transform(
        event_type,
        ['single_phase', 'two_phase_pending', 'two_phase_posted', 'two_phase_voided',
            'two_phase_expired'],
        ['posted', 'pending', 'posted', 'voided', 'expired'],
        '')
    OR keys != if(event_type = 'two_phase_expired', ['hold_timestamp_ns'], [])
ORDER BY first_ns
LIMIT 20
