-- Copies the rows of payments_log that are new since the last run that ended, and are about payments that
-- ever were a break; of one that is a break for the first time, or in a full comparison, all its rows.
INSERT INTO masques_ops.breaks_log
    (generation, run, item_id, known_from, content, net, at, funding, gate, rail, gate_risk, rail_risk,
    reason, currency, rail_currency, posted, settled, payer, payee, request_id, session_id, settlement_id,
    rail_name, rail_network)
WITH
    {began_at:DateTime64(6, 'UTC')} AS began_at,
    {is_full:UInt8} AS is_full,
    (
        SELECT (max(began_at), maxIf(began_at, is_full = 1)) FROM masques_ops.reconciliation_runs
        WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS last,
    kept AS
    (
        SELECT item_id FROM masques_ops.breaks_log
        WHERE is_full = 0 AND generation = last.2 AND run IN
            (SELECT began_at FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC'))
    ),
    found AS
    (
        SELECT item_id FROM masques_ops.payments_log
        PREWHERE is_full OR known_from > last.1
        WHERE (gate NOT IN (SELECT verdict FROM masques_ops.sound_verdicts)
                OR rail NOT IN (SELECT verdict FROM masques_ops.sound_verdicts))
            AND item_id NOT IN kept
    )
SELECT
    if(is_full, began_at, last.2), began_at, item_id, known_from, content, sum(p.sign) AS net,
    any(p.at), any(p.funding), any(p.gate), any(p.rail), any(p.gate_risk), any(p.rail_risk), any(p.reason),
    any(p.currency), any(p.rail_currency), any(p.posted), any(p.settled), any(p.payer), any(p.payee),
    any(p.request_id), any(p.session_id), any(p.settlement_id), any(p.rail_name),
    any(p.rail_network)
FROM
(
    SELECT * FROM masques_ops.payments_log
    WHERE item_order IN (SELECT toUInt64(bitShiftRight(toUInt128(item_id), 64)) FROM found)
        AND item_id IN found
    UNION ALL
    SELECT * FROM masques_ops.payments_log
    PREWHERE known_from > last.1
    WHERE item_id IN kept
) AS p
GROUP BY item_id, known_from, content
HAVING net != 0
