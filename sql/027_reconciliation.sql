-- What is said of each payment: the gate's word, the ledger's and the rail's, compared.
--
-- payments_log is signed: a payment that is said to be something else gets the row before with
-- sign = -1 and the new one with sign = 1. So sums of sign are exact before any merge, and what was
-- known at a time is known_from <= that time.

CREATE TABLE IF NOT EXISTS masques_ops.payments_log
(
    item_order UInt64 MATERIALIZED toUInt64(bitShiftRight(toUInt128(item_id), 64))
        COMMENT 'first half of item_id: ids that begin with a time lie together',
    item_id UUID COMMENT 'the transfer, or the hold of a two-phase one; else the settlement or the request that names none',
    sign Int32 COMMENT '1; -1 takes an earlier row back; more of either makes a damaged log right again',
    known_from DateTime64(6, 'UTC') COMMENT 'when the run that wrote it began',
    at DateTime64(9, 'UTC') COMMENT 'ledger time of the transfer; without one, time of the request or settlement',
    transaction_type LowCardinality(String) COMMENT 'transfer code by the chart; empty when nothing is booked',
    funding LowCardinality(String) COMMENT 'rail_in, rail_out, balance or internal; empty when nothing is booked',
    state LowCardinality(String) COMMENT 'of the ledger: open, posted, voided or expired; empty when nothing is booked',
    gate LowCardinality(String) COMMENT 'verdict on gate and ledger: matched, expected, released, refunded, a class of break, or empty when none is due',
    rail LowCardinality(String) COMMENT 'verdict on ledger and rail: matched, expected, released, refunded, a class of break, or empty when none is due',
    gate_risk Decimal(76, 18) COMMENT 'money at risk by the break at the gate, in currency; 0 without one',
    rail_risk Decimal(76, 18) COMMENT 'money at risk by the break on the rail, in rail_currency when that says so, else in currency; 0 without one',
    reason LowCardinality(String) COMMENT 'what the rail says of a settlement that failed or is unknown; empty otherwise',
    currency LowCardinality(String) COMMENT 'asset of the ledger by the chart; without a transfer what the gate charged in',
    rail_currency LowCardinality(String) COMMENT 'asset that was paid on the rail; empty without a settlement',
    posted Decimal(76, 18) COMMENT 'amount posted',
    held Decimal(76, 18) COMMENT 'amount of the hold; 0 for a single-phase transfer',
    charged Decimal(76, 18) COMMENT 'sum of what requests and session say was charged',
    refunded Decimal(76, 18) COMMENT 'sum of the posted transfers that refund it, in the same currency',
    settled Decimal(76, 18) COMMENT 'sum of its confirmed settlements; of one for several transfers its share',
    amount_basis LowCardinality(String) COMMENT 'stated, partly or none: how many of its requests and sessions say what they charged',
    payer UUID COMMENT 'account that pays; zero when nothing is booked',
    payee UUID COMMENT 'account that is paid; zero when nothing is booked',
    requests UInt32 COMMENT 'requests that name it',
    request_id UUID COMMENT 'one of them; zero for none',
    session_id UUID COMMENT 'the session that names it; zero for none',
    settlements UInt32 COMMENT 'settlements that are linked to it',
    settlement_id UUID COMMENT 'one of them; zero for none',
    rail_name LowCardinality(String) COMMENT 'rail of its settlements; empty for none',
    gate_due_at DateTime64(9, 'UTC') COMMENT 'up to when gate_waits_for has to be read before the gate''s leg can be a break; zero when it waits for nothing',
    gate_waits_for LowCardinality(String) COMMENT 'key of read_to in reconciliation_runs; empty when it waits for nothing',
    rail_due_at DateTime64(9, 'UTC') COMMENT 'up to when rail_waits_for has to be read before the rail''s leg can be a break; zero when it waits for nothing',
    rail_waits_for LowCardinality(String) COMMENT 'key of read_to in reconciliation_runs; empty when it waits for nothing',
    first_at DateTime('UTC') COMMENT 'time of the earliest of its facts, earlier revisions too',
    last_at DateTime('UTC') COMMENT 'time of the latest of its facts',
    content FixedString(16) COMMENT 'sipHash128 of all columns but sign and known_from'
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (item_order, item_id, known_from)
TTL toDate(at) + INTERVAL 7 YEAR
COMMENT 'What was said of each payment and when. Sum over sign, or read masques_marts.payments. Written by reconciliation alone.';

-- A gate may name the purchase of a linked chain whose deposit took the money of the rail.
CREATE TABLE IF NOT EXISTS masques_ops.payment_chains
(
    transaction_id UUID COMMENT 'a transfer that settlements name and that has no rail side',
    rail_transaction_id UUID COMMENT 'the transfer with a rail side of the same linked chain: its money is theirs'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY transaction_id
COMMENT 'Transfers that settlements name, and the transfer of the same linked chain that their money belongs to. One row per transfer; read it with FINAL. Written by reconciliation alone.';

CREATE TABLE IF NOT EXISTS masques_ops.payments_touched
(
    item_id UUID COMMENT 'the item',
    is_compared UInt8 COMMENT '1 when it is compared; 0 when its transfer is only read, because it shares a settlement or is a refund'
)
ENGINE = Memory
COMMENT 'Items that the run looks at. Emptied at the beginning of each run.';

CREATE TABLE IF NOT EXISTS masques_ops.payments_touched_hours
(
    hour DateTime('UTC') COMMENT 'begin of the hour'
)
ENGINE = Memory
COMMENT 'Hours in which all facts of the touched items lie. Emptied at the beginning of each run.';

CREATE TABLE IF NOT EXISTS masques_ops.reconciliation_runs
(
    began_at DateTime64(6, 'UTC') COMMENT 'when the run began; known_from of its rows',
    is_full UInt8 COMMENT '1 when everything was compared, 0 when what was new',
    chart_version UInt64 COMMENT 'the chart that it judged by: version of masques_ops.chart_entries',
    read_to Map(LowCardinality(String), DateTime64(9, 'UTC'))
        COMMENT 'up to when each side was read: ledger, requests, sessions, rails (the least of them and of the journal), bookings (ledger and journal), rail:<name>; 1970 when it was not',
    log_rows UInt64 COMMENT 'rows of payments_log when it ended; 0 before',
    log_digest UInt64 COMMENT 'sum of the hashes of these rows, modulo 2^64: another one means that the log was damaged',
    ended_at DateTime64(6, 'UTC') COMMENT 'when it ended; 1970 while it runs, or when it was killed'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(ended_at)
ORDER BY began_at
TTL toDate(began_at) + INTERVAL 7 YEAR
COMMENT 'One row per run of the reconciliation: what it judged by. Read it with FINAL.';
