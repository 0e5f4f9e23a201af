-- Takes back what is said and should not be.
INSERT INTO masques_ops.payments_log
    (item_id, content, sign, known_from,
    at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason, currency,
    rail_currency, posted, held, charged, refunded, settled, amount_basis, payer, payee, requests,
    request_id, session_id, settlements, settlement_id, rail_name, rail_network, gate_due_at,
    gate_waits_for, rail_due_at, rail_waits_for, first_at, last_at)
WITH wrong AS
(
    SELECT item_id, content FROM masques_ops.payments_unsaid
    WHERE (item_id, content) NOT IN (SELECT item_id, content FROM masques_ops.payments_said)
)
SELECT
    item_id, content, -sum(p.sign) AS sign, {began_at:DateTime64(6, 'UTC')} AS known_from,
    any(p.at) AS at, any(p.transaction_type) AS transaction_type, any(p.funding) AS funding,
    any(p.state) AS state, any(p.gate) AS gate, any(p.rail) AS rail, any(p.gate_risk) AS gate_risk,
    any(p.rail_risk) AS rail_risk, any(p.reason) AS reason, any(p.currency) AS currency,
    any(p.rail_currency) AS rail_currency, any(p.posted) AS posted, any(p.held) AS held, any(p.charged)
    AS charged, any(p.refunded) AS refunded, any(p.settled) AS settled, any(p.amount_basis) AS
    amount_basis, any(p.payer) AS payer, any(p.payee) AS payee, any(p.requests) AS requests,
    any(p.request_id) AS request_id, any(p.session_id) AS session_id, any(p.settlements) AS settlements,
    any(p.settlement_id) AS settlement_id, any(p.rail_name) AS rail_name,
    any(p.rail_network) AS rail_network, any(p.gate_due_at) AS gate_due_at, any(p.gate_waits_for) AS gate_waits_for, any(p.rail_due_at) AS rail_due_at,
    any(p.rail_waits_for) AS rail_waits_for, any(p.first_at) AS first_at, any(p.last_at) AS last_at
FROM masques_ops.payments_log AS p
WHERE p.item_order IN (SELECT toUInt64(bitShiftRight(toUInt128(item_id), 64)) FROM wrong)
    AND (p.item_id, p.content) IN wrong
GROUP BY item_id, content
HAVING sign != 0
SETTINGS max_partitions_per_insert_block = 200
