-- The part of payments_log that is about payments that ever were a break: a few rows beside millions.
--
-- A full comparison copies all of it anew under its own generation, the runs after it add to that. What a
-- run copied that did not end does not count, so the next one copies it again.
CREATE TABLE IF NOT EXISTS masques_ops.breaks_log
(
    generation DateTime64(6, 'UTC') COMMENT 'begin of the full comparison that it was copied by, or that came before; only the newest that ended counts',
    run DateTime64(6, 'UTC') COMMENT 'begin of the run that copied the row; it counts when that run ended',
    item_id UUID COMMENT 'the payment',
    known_from DateTime64(6, 'UTC') COMMENT 'when the run that wrote it into payments_log began',
    content FixedString(16) COMMENT 'content of masques_ops.payments_log',
    net Int64 COMMENT 'sum of the signs of these rows of masques_ops.payments_log',
    at DateTime64(9, 'UTC') COMMENT 'ledger time of the transfer; without one, time of the request or settlement',
    funding LowCardinality(String) COMMENT 'rail_in, rail_out, balance or internal; empty when nothing is booked',
    gate LowCardinality(String) COMMENT 'verdict on gate and ledger',
    rail LowCardinality(String) COMMENT 'verdict on ledger and rail',
    gate_risk Decimal(76, 18) COMMENT 'money at risk by the break at the gate; 0 without one',
    rail_risk Decimal(76, 18) COMMENT 'money at risk by the break on the rail; 0 without one',
    reason LowCardinality(String) COMMENT 'what the rail says of a settlement that failed or is unknown; empty otherwise',
    currency LowCardinality(String) COMMENT 'asset of the ledger; without a transfer what the gate charged in',
    rail_currency LowCardinality(String) COMMENT 'asset that was paid on the rail; empty without a settlement',
    posted Decimal(76, 18) COMMENT 'amount posted',
    settled Decimal(76, 18) COMMENT 'sum of its confirmed settlements; of one for several transfers its share',
    payer UUID COMMENT 'account that pays; zero when nothing is booked',
    payee UUID COMMENT 'account that is paid; zero when nothing is booked',
    request_id UUID COMMENT 'a request of the payment; zero for none',
    session_id UUID COMMENT 'the session of the payment; zero for none',
    settlement_id UUID COMMENT 'a settlement of the payment; zero for none',
    rail_name LowCardinality(String) COMMENT 'rail of its settlements; empty for none'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY generation
ORDER BY (item_id, known_from, content, run)
COMMENT 'The rows of payments_log about payments that ever were a break, one per payment, run and content. Read masques_marts.breaks. Written by reconciliation alone.';

-- What was compared before this file: so that breaks are seen before the next full comparison.
INSERT INTO masques_ops.breaks_log
    (generation, run, item_id, known_from, content, net, at, funding, gate, rail, gate_risk, rail_risk,
    reason, currency, rail_currency, posted, settled, payer, payee, request_id, session_id, settlement_id,
    rail_name)
WITH
    ['', 'matched', 'expected', 'released', 'refunded'] AS sound,
    (
        SELECT maxIf(began_at, is_full = 1) FROM masques_ops.reconciliation_runs
        WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS generation,
    (
        SELECT max(began_at) FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS newest
SELECT
    assumeNotNull(generation), assumeNotNull(generation), item_id, known_from, content, sum(p.sign) AS net,
    any(p.at), any(p.funding), any(p.gate), any(p.rail), any(p.gate_risk), any(p.rail_risk), any(p.reason),
    any(p.currency), any(p.rail_currency), any(p.posted), any(p.settled), any(p.payer), any(p.payee),
    any(p.request_id), any(p.session_id), any(p.settlement_id), any(p.rail_name)
FROM masques_ops.payments_log AS p
WHERE (SELECT count() FROM masques_ops.breaks_log) = 0 AND p.known_from <= newest AND p.item_id IN
(
    SELECT item_id FROM masques_ops.payments_log WHERE gate NOT IN sound OR rail NOT IN sound
)
GROUP BY item_id, known_from, content
HAVING net != 0;

-- Why everything was compared, and whether that found what the runs before it had missed.
ALTER TABLE masques_ops.reconciliation_runs ADD COLUMN IF NOT EXISTS reason LowCardinality(String)
    COMMENT 'why everything was compared: first, chart (another version), damaged (the log was not what the last run left), many (new rows), daily or asked; empty for what was new';
ALTER TABLE masques_ops.reconciliation_runs ADD COLUMN IF NOT EXISTS corrected Nullable(UInt64)
    COMMENT 'rows of payments_log that a daily comparison, or one that was asked for, had to write although all that was new had been compared; NULL for other runs';
