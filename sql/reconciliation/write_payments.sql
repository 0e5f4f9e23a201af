-- Writes what should be said and is not, as often as it lacks: a damaged log may say it more than once.
INSERT INTO masques_ops.payments_log
    (item_id, content, sign, known_from,
    at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason, currency,
    rail_currency, posted, held, charged, refunded, settled, amount_basis, payer, payee, requests,
    request_id, session_id, settlements, settlement_id, rail_name, rail_network, gate_due_at,
    gate_waits_for, rail_due_at, rail_waits_for, first_at, last_at)
WITH
    -- What this run has written of these payments: nothing, or the answer to it was lost.
    written AS
    (
        SELECT item_id, content, sum(sign) AS net FROM masques_ops.payments_log
        PREWHERE known_from = {began_at:DateTime64(6, 'UTC')}
        WHERE item_order BETWEEN toUInt64(bitShiftRight({first_id:UInt128}, 64))
            AND toUInt64(bitShiftRight({last_id:UInt128}, 64))
        GROUP BY item_id, content
    )
SELECT
    s.item_id, s.content, 1 - u.net - w.net AS lacks, s.known_from,
    at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason, currency,
    rail_currency, posted, held, charged, refunded, settled, amount_basis, payer, payee, requests,
    request_id, session_id, settlements, settlement_id, rail_name, rail_network, gate_due_at,
    gate_waits_for, rail_due_at, rail_waits_for, first_at, last_at
FROM masques_ops.payments_said AS s
LEFT JOIN masques_ops.payments_unsaid AS u ON u.item_id = s.item_id AND u.content = s.content
LEFT JOIN written AS w ON w.item_id = s.item_id AND w.content = s.content
WHERE lacks != 0
SETTINGS max_partitions_per_insert_block = 200
