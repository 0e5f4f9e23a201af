-- The copy of the ledger in the ledger's own terms: raw amounts, nanoseconds. The proofs read these.

-- The events as the ledger counts them: raw amounts, times in nanoseconds. An amount that is no whole
-- number of the ledger's units was edited; it becomes -1, which no ledger ever sent.
CREATE OR REPLACE VIEW masques_ops.raw_events
(
    transaction_id UUID COMMENT 'the transfer; an expiry carries the id of its hold',
    timestamp DateTime64(9, 'UTC') COMMENT 'ledger time of the event; unique',
    at_ns UInt64 COMMENT 'ledger time of the event, nanoseconds since 1970',
    debit_account_id UUID COMMENT 'the account that pays',
    credit_account_id UUID COMMENT 'the account that is paid',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    event_type LowCardinality(String)
        COMMENT 'single_phase, two_phase_pending, two_phase_posted, two_phase_voided, two_phase_expired',
    pending_id Nullable(UUID) COMMENT 'the hold that this event posts, voids or expires',
    timeout_s UInt32 COMMENT 'seconds after which a hold expires; 0 for never',
    flags UInt16 COMMENT '1 linked, 2 pending, 4 post, 8 void, 16/32 balancing, 64/128 closing, 256 imported',
    code UInt16 COMMENT 'transfer code in TigerBeetle; transaction_type is its meaning',
    trace_id String COMMENT '32 lower-case hex digits of user_data_128, or empty',
    span_id String COMMENT '16 lower-case hex digits of user_data_64, or empty',
    resource_type LowCardinality(String) COMMENT 'user_data_32 >> 24 by the chart; type_<n> when unknown',
    resource_id String COMMENT 'user_data_32 & 0xFFFFFF; empty when user_data_32 is 0',
    resource_code UInt8 COMMENT 'user_data_32 >> 24 in TigerBeetle; resource_type is its meaning',
    attributes Map(LowCardinality(String), String)
        COMMENT 'further facts of the event; for an expiry hold_timestamp_ns, the ledger time of its hold',
    currency LowCardinality(String) COMMENT 'asset of the ledger by the chart; ledger_<n> when unknown',
    transaction_type LowCardinality(String) COMMENT 'transfer code by the chart; code_<n> when unknown',
    status LowCardinality(String) COMMENT 'pending, posted, voided or expired',
    chart_version UInt64 COMMENT 'the chart that gave the words: version of masques_ops.chart_entries',
    unit Int256 COMMENT '10^(18 - scale): a raw unit in steps of 10^-18 of a whole unit',
    scaled Int256 COMMENT 'amount in steps of 10^-18 of a whole unit',
    amount Int256 COMMENT 'raw amount; -1 when the stored amount is not a whole number of raw units, so was edited'
)
AS
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
    t.resource_code AS resource_code,
    t.attributes AS attributes,
    t.currency AS currency,
    t.transaction_type AS transaction_type,
    t.status AS status,
    t.chart_version AS chart_version,
    toInt256(intExp10(
        18 - if(startsWith(t.currency, 'ledger_'), 0, transform(t.ledger, scales.1, scales.2, 0))))
        AS unit,
    reinterpret(t.amount, 'Int256') AS scaled,
    if(scaled % unit = 0, intDiv(scaled, unit), toInt256(-1)) AS amount
FROM masques.transactions AS t
COMMENT 'The events of masques.transactions with raw amounts and times in nanoseconds, for the proofs.';

-- Every change of every account's balances after one ledger time and up to another. A post, void or
-- expiry releases the whole hold, whose amount stands only in the hold: in these events, or among the
-- holds that were open at the checkpoint base_ns.
CREATE OR REPLACE VIEW masques_ops.balance_changes AS
WITH
    events AS
    (
        SELECT
            transaction_id, timestamp, at_ns, debit_account_id, credit_account_id, ledger,
            event_type, pending_id, amount
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
ARRAY JOIN [(debit_account_id, true), (credit_account_id, false)] AS side
COMMENT 'Every change of every account''s balances between two ledger times, raw. Parameters: base_ns - ledger time of a checkpoint, nanoseconds; changes are later than this; until_ns - ledger time of the last change, nanoseconds. Columns: account_id - the ledger account; ledger - number of the ledger; at_ns - ledger time of the change, nanoseconds; debits_pending, debits_posted, credits_pending, credits_posted - raw change of that balance.';

-- Every account as the ledger last showed it: raw balances, and the ledger time at which they held.
-- An account that did not change has an old row and a new reading.
CREATE OR REPLACE VIEW masques_ops.account_readings
(
    account_id UUID COMMENT 'the ledger account',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    currency LowCardinality(String) COMMENT 'asset of the ledger by the chart; ledger_<n> when unknown',
    read_ns UInt64 COMMENT 'ledger time at which the balances held, nanoseconds since 1970',
    unit Int256 COMMENT '10^(18 - scale): a raw unit in steps of 10^-18 of a whole unit',
    debits_pending Int256 COMMENT 'raw sum of open holds against the account',
    debits_posted Int256 COMMENT 'raw sum of posted debits',
    credits_pending Int256 COMMENT 'raw sum of open holds in favour of the account',
    credits_posted Int256 COMMENT 'raw sum of posted credits'
)
AS
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0))
        FROM masques_ops.chart_ledgers AS l
    ) AS scales,
    (
        SELECT argMax(r.read_id, (r.snapshot_at_ns, r.recorded_at))
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
    SELECT
        account_id, ledger, currency, snapshot_at, debits_pending, debits_posted, credits_pending,
        credits_posted, 1 AS one, toUInt64(toUnixTimestamp64Nano(created_at)) AS created_ns
    FROM masques.accounts FINAL
) AS a
ASOF LEFT JOIN
(
    SELECT 1 AS one, r.created_from_ns AS created_from_ns, r.snapshot_at_ns AS snapshot_at_ns
    FROM masques_ops.account_reads AS r FINAL
    WHERE r.read_id = newest_read_id
) AS pages ON pages.one = a.one AND a.created_ns >= pages.created_from_ns
COMMENT 'Every account as the ledger last showed it: raw balances and when they held.';
