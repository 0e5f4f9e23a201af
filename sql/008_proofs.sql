-- What proves that the copy of the ledger is right, and what follows from the proofs: seals of what
-- the ledger sent, proven balances, account history. A re-run changes nothing.
--
-- Amounts in masques_ops are raw: the ledger's own integers, whatever the chart says of their scale.
-- So neither seals nor checkpoints change when the chart learns a ledger.

-- One row for each sync: how far it came. The table is complete up to the newest watermark.
CREATE TABLE IF NOT EXISTS masques_ops.ledger_syncs
(
    watermark_ns UInt64 COMMENT 'ledger time up to which masques.transactions is complete',
    newest_event_ns UInt64 COMMENT 'ledger time of the newest event; 0 when there is none',
    events_read UInt64,
    rows_written UInt64,
    rows_total UInt64,
    source String,
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (recorded_at, watermark_ns)
TTL toDate(recorded_at) + INTERVAL 1 YEAR;

-- One row for each batch of events that was synced: what the ledger sent, in numbers and as a digest
-- that is chained to the one before. No batch has events of two months, and none reaches past the
-- newest transfer: an import can still land behind an expiry. Two different rows of one sequence
-- number are a fork, which `masques verify` reports; an insert that was sent twice leaves one row.
CREATE TABLE IF NOT EXISTS masques_ops.ledger_seals
(
    sequence UInt64 COMMENT '1 and up',
    from_ns UInt64 COMMENT 'the events are later than this: to_ns of the seal before, 0 at first',
    to_ns UInt64 COMMENT 'ledger time of the last event',
    events UInt64,
    posted Map(UInt32, UInt256) COMMENT 'raw amount posted, by ledger',
    held Map(UInt32, UInt256) COMMENT 'raw amount of new holds, by ledger',
    events_digest String COMMENT 'SHA-256 over the events, hex',
    previous_digest String COMMENT 'digest of the seal before; empty at first',
    digest String COMMENT 'SHA-256 over this row, hex',
    sealed_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(sealed_at)
ORDER BY (sequence, digest)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Ledger times at which the balances of all accounts were proved. Proofs go on from the newest.
CREATE TABLE IF NOT EXISTS masques_ops.balance_checkpoints
(
    checkpoint_ns UInt64 COMMENT 'ledger time; events at this time are in',
    base_ns UInt64 COMMENT 'the checkpoint that this one was folded from; 0 for the beginning',
    accounts UInt64,
    open_holds UInt64,
    state LowCardinality(String) COMMENT 'proven, or pruned: its balances were dropped since',
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY checkpoint_ns;

-- Balances of all accounts at a checkpoint. Read it with FINAL: an insert may be sent twice.
CREATE TABLE IF NOT EXISTS masques_ops.checkpoint_balances
(
    checkpoint_ns UInt64,
    account_id UUID,
    ledger UInt32,
    debits_pending Int256,
    debits_posted Int256,
    credits_pending Int256,
    credits_posted Int256
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY checkpoint_ns
ORDER BY (checkpoint_ns, account_id);

-- Holds that were open at a checkpoint. Read it with FINAL.
CREATE TABLE IF NOT EXISTS masques_ops.checkpoint_holds
(
    checkpoint_ns UInt64,
    transaction_id UUID,
    opened_ns UInt64,
    debit_account_id UUID,
    credit_account_id UUID,
    ledger UInt32,
    amount Int256,
    timeout_s UInt32
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY checkpoint_ns
ORDER BY (checkpoint_ns, transaction_id);

-- What each account's balances changed by on each day. A day that a checkpoint cuts has a row for
-- each side of the cut. Read it with FINAL, and only the rows of recorded checkpoints.
CREATE TABLE IF NOT EXISTS masques_ops.account_days
(
    account_id UUID,
    day Date32,
    checkpoint_ns UInt64 COMMENT 'the checkpoint that this was derived for',
    ledger UInt32,
    debits_pending Int256,
    debits_posted Int256,
    credits_pending Int256,
    credits_posted Int256,
    movements UInt64 COMMENT 'changes of a balance; an expiry or a post of a hold is one too'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY toYear(day)
ORDER BY (account_id, day, checkpoint_ns);

-- How every proof ended, for the record.
CREATE TABLE IF NOT EXISTS masques_ops.proofs
(
    proof LowCardinality(String),
    outcome LowCardinality(String) COMMENT 'holds, fails or inconclusive',
    detail String,
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (recorded_at, proof)
TTL toDate(recorded_at) + INTERVAL 1 YEAR;

-- The events as the ledger counts them: raw amounts, times in nanoseconds. An amount that is no whole
-- number of the ledger's units was edited; it becomes -1, which no ledger ever sent.
CREATE VIEW IF NOT EXISTS masques_ops.raw_events AS
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0))
        FROM masques_ops.chart_ledgers AS l
    ) AS scales
SELECT
    t.transaction_id AS transaction_id,
    t.timestamp AS timestamp,
    toUInt64(toUnixTimestamp64Nano(t.timestamp)) AS at_ns,
    t.debit_account_id AS debit_account_id,
    t.credit_account_id AS credit_account_id,
    t.ledger AS ledger,
    t.event_type AS event_type,
    t.pending_id AS pending_id,
    t.timeout_s AS timeout_s,
    t.flags AS flags,
    t.code AS code,
    t.trace_id AS trace_id,
    t.span_id AS span_id,
    t.resource_type AS resource_type,
    t.resource_id AS resource_id,
    t.attributes AS attributes,
    toInt256(intExp10(
        18 - if(startsWith(t.currency, 'ledger_'), 0, transform(t.ledger, scales.1, scales.2, 0))))
        AS unit,
    reinterpret(t.amount, 'Int256') AS scaled,
    if(scaled % unit = 0, intDiv(scaled, unit), toInt256(-1)) AS amount
FROM masques.transactions AS t;

-- Every change of every account's balances after one ledger time and up to another. A post, void or
-- expiry releases the whole hold, whose amount stands only in the hold: in these events, or among the
-- holds that were open at the checkpoint base_ns.
CREATE VIEW IF NOT EXISTS masques_ops.balance_changes AS
WITH
    events AS
    (
        SELECT *
        FROM masques_ops.raw_events AS e
        WHERE e.timestamp > fromUnixTimestamp64Nano(toInt64({base_ns:UInt64}), 'UTC')
            AND e.timestamp <= fromUnixTimestamp64Nano(toInt64({until_ns:UInt64}), 'UTC')
    ),
    holds AS
    (
        SELECT
            hold_id,
            anyIf(debit_account_id, is_hold) AS debit_account_id,
            anyIf(credit_account_id, is_hold) AS credit_account_id,
            anyIf(ledger, is_hold) AS ledger,
            maxIf(amount, is_hold) AS amount,
            maxIf(at_ns, is_hold) AS opened_ns,
            maxIf(at_ns, NOT is_hold) AS resolved_ns
        FROM
        (
            SELECT
                transaction_id AS hold_id, true AS is_hold, opened_ns AS at_ns, debit_account_id,
                credit_account_id, ledger, amount
            FROM masques_ops.checkpoint_holds FINAL
            WHERE checkpoint_ns = {base_ns:UInt64}
            UNION ALL
            SELECT
                if(event_type = 'two_phase_pending', transaction_id, assumeNotNull(pending_id)),
                event_type = 'two_phase_pending',
                at_ns, debit_account_id, credit_account_id, ledger, amount
            FROM events
            WHERE event_type != 'single_phase'
        )
        GROUP BY hold_id
    )
SELECT
    side.1 AS account_id,
    ledger,
    at_ns,
    if(side.2, pending, toInt256(0)) AS debits_pending,
    if(side.2, posted, toInt256(0)) AS debits_posted,
    if(side.2, toInt256(0), pending) AS credits_pending,
    if(side.2, toInt256(0), posted) AS credits_posted
FROM
(
    SELECT
        debit_account_id, credit_account_id, ledger, at_ns, toInt256(0) AS pending,
        amount AS posted
    FROM events
    WHERE event_type IN ('single_phase', 'two_phase_posted')
    UNION ALL
    SELECT
        debit_account_id, credit_account_id, ledger, move.1, move.2, toInt256(0)
    FROM holds
    ARRAY JOIN [(opened_ns, amount), (resolved_ns, -amount)] AS move
    WHERE move.1 > {base_ns:UInt64}
)
ARRAY JOIN [(debit_account_id, true), (credit_account_id, false)] AS side;

-- Every account as the ledger last showed it: raw balances, and the ledger time at which they held.
-- An account that did not change has an old row and a new reading.
CREATE VIEW IF NOT EXISTS masques_ops.account_readings AS
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0))
        FROM masques_ops.chart_ledgers AS l
    ) AS scales,
    (
        SELECT argMax(r.read_id, r.recorded_at)
        FROM masques_ops.account_reads AS r
        WHERE r.is_last
    ) AS newest_read_id
SELECT
    a.account_id AS account_id,
    a.ledger AS ledger,
    a.currency AS currency,
    greatest(toUInt64(toUnixTimestamp64Nano(a.snapshot_at)), pages.snapshot_at_ns) AS read_ns,
    toInt256(intExp10(
        18 - if(startsWith(a.currency, 'ledger_'), 0, transform(a.ledger, scales.1, scales.2, 0))))
        AS unit,
    intDiv(reinterpret(a.debits_pending, 'Int256'), unit) AS debits_pending,
    intDiv(reinterpret(a.debits_posted, 'Int256'), unit) AS debits_posted,
    intDiv(reinterpret(a.credits_pending, 'Int256'), unit) AS credits_pending,
    intDiv(reinterpret(a.credits_posted, 'Int256'), unit) AS credits_posted
FROM
(
    SELECT *, 1 AS one, toUInt64(toUnixTimestamp64Nano(created_at)) AS created_ns
    FROM masques.accounts FINAL
) AS a
ASOF LEFT JOIN
(
    SELECT 1 AS one, r.created_from_ns AS created_from_ns, r.snapshot_at_ns AS snapshot_at_ns
    FROM masques_ops.account_reads AS r FINAL
    WHERE r.read_id = newest_read_id
) AS pages ON pages.one = a.one AND a.created_ns >= pages.created_from_ns;

-- Rows that the ledger sent once more: `masques ledger rebuild` swaps whole months from here. The
-- view derives them as transactions_from_change_events does; a test holds the two equal.
CREATE TABLE IF NOT EXISTS masques_ops.rebuild_inlet AS masques_ops.change_events_inlet
ENGINE = Null;

CREATE TABLE IF NOT EXISTS masques_ops.transactions_rebuilt AS masques.transactions;

CREATE MATERIALIZED VIEW IF NOT EXISTS masques_ops.transactions_from_rebuild
TO masques_ops.transactions_rebuilt
AS
SELECT
    reinterpretAsUUID(bitOr(bitShiftLeft(e.transfer_id, 64), bitShiftRight(e.transfer_id, 64)))
        AS transaction_id,
    fromUnixTimestamp64Nano(toInt64(e.timestamp), 'UTC') AS timestamp,
    reinterpretAsUUID(
        bitOr(bitShiftLeft(e.debit_account_id, 64), bitShiftRight(e.debit_account_id, 64)))
        AS debit_account_id,
    reinterpretAsUUID(
        bitOr(bitShiftLeft(e.credit_account_id, 64), bitShiftRight(e.credit_account_id, 64)))
        AS credit_account_id,
    reinterpret(
        toInt256(e.transfer_amount) * toInt256(intExp10(18 - ifNull(ledgers.scale, 0))),
        'Decimal(76, 18)') AS amount,
    coalesce(nullIf(ledgers.asset, ''), concat('ledger_', toString(e.ledger))) AS currency,
    coalesce(nullIf(codes.transaction_type, ''), concat('code_', toString(e.transfer_code)))
        AS transaction_type,
    multiIf(
        e.transfer_user_data_32 = 0, '',
        ifNull(resources.resource_type, '') != '', resources.resource_type,
        concat('type_', toString(bitShiftRight(e.transfer_user_data_32, 24)))) AS resource_type,
    if(e.transfer_user_data_32 = 0, '', toString(bitAnd(e.transfer_user_data_32, 16777215)))
        AS resource_id,
    transform(e.type, [1, 3, 4], ['pending', 'voided', 'expired'], 'posted') AS status,
    if(e.type = 4, map('hold_timestamp_ns', toString(e.transfer_timestamp)), map()) AS attributes,
    if(e.transfer_user_data_128 = 0, '',
        lower(hex(reverse(reinterpretAsFixedString(e.transfer_user_data_128))))) AS trace_id,
    if(e.transfer_user_data_64 = 0, '',
        lower(hex(reverse(reinterpretAsFixedString(e.transfer_user_data_64))))) AS span_id,
    multiIf(
        e.type = 4, transaction_id,
        e.transfer_pending_id = 0, NULL,
        reinterpretAsUUID(bitOr(
            bitShiftLeft(e.transfer_pending_id, 64), bitShiftRight(e.transfer_pending_id, 64))))
        AS pending_id,
    transform(
        e.type,
        [0, 1, 2, 3, 4],
        ['single_phase', 'two_phase_pending', 'two_phase_posted', 'two_phase_voided',
            'two_phase_expired'],
        '') AS event_type,
    e.ledger AS ledger,
    e.transfer_code AS code,
    e.transfer_flags AS flags,
    e.transfer_timeout AS timeout_s
FROM masques_ops.rebuild_inlet AS e
LEFT JOIN masques_ops.chart_ledgers AS ledgers ON ledgers.ledger = e.ledger
LEFT JOIN masques_ops.chart_transfer_codes AS codes ON codes.code = e.transfer_code
LEFT JOIN masques_ops.chart_resource_types AS resources
    ON resources.code = toUInt8(bitShiftRight(e.transfer_user_data_32, 24))
WHERE fromUnixTimestamp64Nano(toInt64(e.timestamp), 'UTC') NOT IN
(
    SELECT t.timestamp
    FROM masques_ops.transactions_rebuilt AS t
    WHERE t.timestamp IN
    (
        SELECT fromUnixTimestamp64Nano(toInt64(b.timestamp), 'UTC')
        FROM masques_ops.rebuild_inlet AS b
    )
);

-- What happened to each hold. One row for each, before any merge: sum this, never the events.
CREATE VIEW IF NOT EXISTS masques_marts.holds AS
SELECT
    transaction_id,
    anyIf(e.timestamp, is_hold) AS held_at,
    anyIf(e.debit_account_id, is_hold) AS debit_account_id,
    anyIf(e.credit_account_id, is_hold) AS credit_account_id,
    anyIf(e.ledger, is_hold) AS ledger,
    anyIf(e.currency, is_hold) AS currency,
    anyIf(e.transaction_type, is_hold) AS transaction_type,
    anyIf(e.timeout_s, is_hold) AS timeout_s,
    anyIf(e.amount, is_hold) AS held,
    sumIf(e.amount, e.event_type = 'two_phase_posted') AS posted,
    if(resolutions = 0, toDecimal256(0, 18), held - posted) AS released,
    if(resolutions = 0, held, toDecimal256(0, 18)) AS open,
    multiIf(
        holds = 0, 'unknown',
        resolutions = 0, 'open',
        resolutions > 1, 'conflicting',
        countIf(e.event_type = 'two_phase_voided') = 1, 'voided',
        countIf(e.event_type = 'two_phase_expired') = 1, 'expired',
        posted < held, 'posted_partly',
        'posted') AS state,
    if(resolutions = 0, NULL, maxIf(e.timestamp, NOT is_hold)) AS resolved_at,
    countIf(is_hold) AS holds,
    countIf(NOT is_hold) AS resolutions
FROM
(
    SELECT
        *,
        t.event_type = 'two_phase_pending' AS is_hold,
        t.transaction_id AS event_id
    FROM masques.transactions AS t
    WHERE t.event_type != 'single_phase'
) AS e
GROUP BY if(is_hold, e.event_id, assumeNotNull(e.pending_id)) AS transaction_id;

-- Balances of each account at the end of each day on which they changed, proved. The newest day may
-- still be going on. Reading one account reads that account's days and nothing else.
CREATE VIEW IF NOT EXISTS masques_marts.account_history AS
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0),
            arrayPushBack(groupArray(l.asset), 'ledger_0'))
        FROM masques_ops.chart_ledgers AS l
    ) AS chart
SELECT
    d.account_id AS account_id,
    d.day AS day,
    d.ledger AS ledger,
    transform(d.ledger, chart.1, chart.3, concat('ledger_', toString(d.ledger))) AS currency,
    toInt256(intExp10(18 - transform(d.ledger, chart.1, chart.2, 0))) AS unit,
    reinterpret(unit * sum(d.debited) OVER account, 'Decimal(76, 18)') AS debits_posted,
    reinterpret(unit * sum(d.credited) OVER account, 'Decimal(76, 18)') AS credits_posted,
    reinterpret(unit * sum(d.debits_held) OVER account, 'Decimal(76, 18)') AS debits_pending,
    reinterpret(unit * sum(d.credits_held) OVER account, 'Decimal(76, 18)') AS credits_pending,
    credits_posted - debits_posted AS balance,
    reinterpret(unit * d.debited, 'Decimal(76, 18)') AS debited_that_day,
    reinterpret(unit * d.credited, 'Decimal(76, 18)') AS credited_that_day,
    d.movements AS movements
FROM
(
    SELECT
        r.account_id AS account_id,
        r.day AS day,
        any(r.ledger) AS ledger,
        sum(r.debits_posted) AS debited,
        sum(r.credits_posted) AS credited,
        sum(r.debits_pending) AS debits_held,
        sum(r.credits_pending) AS credits_held,
        sum(r.movements) AS movements
    FROM masques_ops.account_days AS r FINAL
    WHERE r.checkpoint_ns IN (SELECT c.checkpoint_ns FROM masques_ops.balance_checkpoints AS c)
    GROUP BY r.account_id, r.day
) AS d
WINDOW account AS (PARTITION BY d.account_id ORDER BY d.day);
