-- Views for people: everything in masques_marts.

-- What happened to each hold. One row for each, before any merge: sum this, never the events.
CREATE OR REPLACE VIEW masques_marts.holds
(
    transaction_id UUID COMMENT 'the transfer that opened the hold',
    held_at DateTime64(9, 'UTC') COMMENT 'ledger time at which the hold was opened',
    debit_account_id UUID COMMENT 'the account that pays',
    credit_account_id UUID COMMENT 'the account that is paid',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    currency String COMMENT 'asset of the ledger by the chart; ledger_<n> when unknown',
    transaction_type String COMMENT 'transfer code of the hold by the chart; code_<n> when unknown',
    timeout_s UInt32 COMMENT 'seconds after which the hold expires; 0 for never',
    held Decimal(76, 18) COMMENT 'amount held, in whole units of the currency',
    posted Decimal(76, 18) COMMENT 'amount that was posted, in whole units of the currency',
    released Decimal(76, 18) COMMENT 'amount given back, in whole units of the currency; 0 while open',
    open Decimal(76, 18) COMMENT 'amount still held, in whole units of the currency; 0 once resolved',
    state String
        COMMENT 'open, posted, posted_partly, voided, expired; conflicting: resolved more than once; unknown: the hold itself is missing',
    resolved_at Nullable(DateTime64(9, 'UTC')) COMMENT 'ledger time of the post, void or expiry; NULL while open',
    holds UInt64 COMMENT 'events that opened the hold: 1, or 0 when it is missing',
    resolutions UInt64 COMMENT 'events that resolved the hold: 0 while open, then 1'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0),
            arrayPushBack(groupArray(l.asset), 'ledger_0'))
        FROM masques_ops.chart_ledgers AS l
    ) AS ledgers
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
        t.timestamp AS timestamp,
        t.debit_account_id AS debit_account_id,
        t.credit_account_id AS credit_account_id,
        t.ledger AS ledger,
        if(startsWith(t.currency, 'ledger_'), transform(t.ledger, ledgers.1, ledgers.3, toString(t.currency)),
            toString(t.currency)) AS currency,
        t.transaction_type AS transaction_type,
        t.timeout_s AS timeout_s,
        if(startsWith(t.currency, 'ledger_'),
            reinterpret(intDiv(reinterpret(t.amount, 'Int256'),
                toInt256(intExp10(transform(t.ledger, ledgers.1, ledgers.2, 0)))), 'Decimal(76, 18)'),
            t.amount) AS amount,
        t.event_type AS event_type,
        t.pending_id AS pending_id,
        t.event_type = 'two_phase_pending' AS is_hold,
        t.transaction_id AS event_id
    FROM masques.transactions AS t
    WHERE t.event_type != 'single_phase'
) AS e
GROUP BY if(is_hold, e.event_id, assumeNotNull(e.pending_id)) AS transaction_id
COMMENT 'What happened to each hold: one row per hold, exact before any merge. Sum this, never the events.';

-- One hold, by its id, as in holds, which has to group the events of all holds to find one. Two branches:
-- an OR of two columns reads everything, and in a test it dropped the row of the hold (skip indexes of
-- both columns, engine 26.9.2).
CREATE OR REPLACE VIEW masques_marts.hold
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0),
            arrayPushBack(groupArray(l.asset), 'ledger_0'))
        FROM masques_ops.chart_ledgers AS l
    ) AS ledgers
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
        t.timestamp AS timestamp,
        t.debit_account_id AS debit_account_id,
        t.credit_account_id AS credit_account_id,
        t.ledger AS ledger,
        if(startsWith(t.currency, 'ledger_'), transform(t.ledger, ledgers.1, ledgers.3, toString(t.currency)),
            toString(t.currency)) AS currency,
        t.transaction_type AS transaction_type,
        t.timeout_s AS timeout_s,
        if(startsWith(t.currency, 'ledger_'),
            reinterpret(intDiv(reinterpret(t.amount, 'Int256'),
                toInt256(intExp10(transform(t.ledger, ledgers.1, ledgers.2, 0)))), 'Decimal(76, 18)'),
            t.amount) AS amount,
        t.event_type AS event_type,
        t.pending_id AS pending_id,
        t.event_type = 'two_phase_pending' AS is_hold,
        t.transaction_id AS event_id
    FROM masques.transactions AS t
    WHERE t.event_type = 'two_phase_pending' AND t.transaction_id = {id:UUID}
    UNION ALL
    SELECT
        t.timestamp AS timestamp,
        t.debit_account_id AS debit_account_id,
        t.credit_account_id AS credit_account_id,
        t.ledger AS ledger,
        if(startsWith(t.currency, 'ledger_'), transform(t.ledger, ledgers.1, ledgers.3, toString(t.currency)),
            toString(t.currency)) AS currency,
        t.transaction_type AS transaction_type,
        t.timeout_s AS timeout_s,
        if(startsWith(t.currency, 'ledger_'),
            reinterpret(intDiv(reinterpret(t.amount, 'Int256'),
                toInt256(intExp10(transform(t.ledger, ledgers.1, ledgers.2, 0)))), 'Decimal(76, 18)'),
            t.amount) AS amount,
        t.event_type AS event_type,
        t.pending_id AS pending_id,
        t.event_type = 'two_phase_pending' AS is_hold,
        t.transaction_id AS event_id
    FROM masques.transactions AS t
    WHERE t.event_type != 'two_phase_pending' AND t.pending_id = {id:UUID}
) AS e
GROUP BY if(is_hold, e.event_id, assumeNotNull(e.pending_id)) AS transaction_id
COMMENT 'One hold, as in masques_marts.holds. Parameters: id - the transfer that opened the hold. Columns: transaction_id .. resolutions - as in masques_marts.holds.';

-- The holds that are still open: those of the latest proved checkpoint and those begun since, without
-- those that were posted, voided or expired since. Nothing can be written at or before a checkpoint any
-- more. The checkpoint holds all that is asked of a hold: reading its event would cost a granule for each
-- (2 CPU s for a thousand holds that are open for long). Before the first checkpoint all events are read.
CREATE OR REPLACE VIEW masques_marts.holds_open
(
    transaction_id UUID COMMENT 'the transfer that opened the hold',
    held_at DateTime64(9, 'UTC') COMMENT 'ledger time at which the hold was opened',
    debit_account_id UUID COMMENT 'the account that pays',
    credit_account_id UUID COMMENT 'the account that is paid',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    currency LowCardinality(String) COMMENT 'asset of the ledger by the chart; ledger_<n> when unknown',
    transaction_type LowCardinality(String) COMMENT 'transfer code of the hold by the chart; code_<n> when unknown',
    timeout_s UInt32 COMMENT 'seconds after which the hold expires; 0 for never',
    held Decimal(76, 18) COMMENT 'amount held, in whole units of the currency',
    expires_at Nullable(DateTime64(9, 'UTC'))
        COMMENT 'ledger time after which the ledger expires the hold; NULL for never'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    (
        SELECT max(c.checkpoint_ns)
        FROM masques_ops.balance_checkpoints AS c FINAL
        WHERE c.state = 'proven'
    ) AS base_ns,
    fromUnixTimestamp64Nano(toInt64(base_ns), 'UTC') AS base,
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0),
            arrayPushBack(groupArray(l.asset), 'ledger_0'))
        FROM masques_ops.chart_ledgers AS l
    ) AS ledgers,
    (
        SELECT (arrayPushBack(groupArray(c.code), 0),
            arrayPushBack(groupArray(c.transaction_type), 'code_0'))
        FROM masques_ops.chart_transfer_codes AS c
    ) AS codes
SELECT
    o.transaction_id AS transaction_id,
    o.held_at AS held_at,
    o.debit_account_id AS debit_account_id,
    o.credit_account_id AS credit_account_id,
    o.ledger AS ledger,
    toLowCardinality(o.currency) AS currency,
    toLowCardinality(o.transaction_type) AS transaction_type,
    o.timeout_s AS timeout_s,
    o.held AS held,
    if(o.timeout_s = 0, NULL, o.held_at + toIntervalSecond(o.timeout_s)) AS expires_at
FROM
(
    SELECT
        t.transaction_id AS transaction_id,
        t.timestamp AS held_at,
        t.debit_account_id AS debit_account_id,
        t.credit_account_id AS credit_account_id,
        t.ledger AS ledger,
        if(startsWith(t.currency, 'ledger_'), transform(t.ledger, ledgers.1, ledgers.3, toString(t.currency)),
            toString(t.currency)) AS currency,
        toString(t.transaction_type) AS transaction_type,
        t.timeout_s AS timeout_s,
        if(startsWith(t.currency, 'ledger_'),
            reinterpret(intDiv(reinterpret(t.amount, 'Int256'),
                toInt256(intExp10(transform(t.ledger, ledgers.1, ledgers.2, 0)))), 'Decimal(76, 18)'),
            t.amount) AS held
    FROM masques.transactions AS t
    WHERE t.event_type = 'two_phase_pending'
        AND (t.timestamp > base OR t.timestamp IN
        (
            SELECT fromUnixTimestamp64Nano(toInt64(h.opened_ns), 'UTC')
            FROM masques_ops.checkpoint_holds AS h
            WHERE h.checkpoint_ns = base_ns AND h.code = 0
        ))
    UNION ALL
    SELECT
        h.transaction_id AS transaction_id,
        fromUnixTimestamp64Nano(toInt64(h.opened_ns), 'UTC') AS held_at,
        h.debit_account_id AS debit_account_id,
        h.credit_account_id AS credit_account_id,
        h.ledger AS ledger,
        transform(h.ledger, ledgers.1, ledgers.3, concat('ledger_', toString(h.ledger))) AS currency,
        transform(h.code, codes.1, codes.2, concat('code_', toString(h.code))) AS transaction_type,
        h.timeout_s AS timeout_s,
        reinterpret(
            toInt256(intExp10(18 - transform(h.ledger, ledgers.1, ledgers.2, 0))) * h.amount,
            'Decimal(76, 18)') AS held
    FROM masques_ops.checkpoint_holds AS h FINAL
    WHERE h.checkpoint_ns = base_ns AND h.code != 0
) AS o
WHERE o.transaction_id NOT IN
    (
        SELECT assumeNotNull(e.pending_id)
        FROM masques.transactions AS e
        WHERE e.timestamp > base
            AND e.event_type IN ('two_phase_posted', 'two_phase_voided', 'two_phase_expired')
    )
LIMIT 1 BY o.transaction_id
COMMENT 'The holds that are still open: one row per hold. Faster than holds with state = ''open''.';

-- What was posted to one account from one moment up to another, oldest first by time.
CREATE OR REPLACE VIEW masques_marts.statement
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    timestamp, transaction_id, counterparty_account_id, change, currency, transaction_type, resource_type,
    resource_id, pending_id, trace_id
FROM
(
    SELECT
        t.timestamp AS timestamp,
        t.transaction_id AS transaction_id,
        t.credit_account_id AS counterparty_account_id,
        -t.amount AS change,
        t.currency AS currency,
        t.transaction_type AS transaction_type,
        t.resource_type AS resource_type,
        t.resource_id AS resource_id,
        t.pending_id AS pending_id,
        t.trace_id AS trace_id
    FROM masques.transactions AS t
    WHERE t.debit_account_id = {account:UUID}
        AND t.event_type IN ('single_phase', 'two_phase_posted')
        AND t.timestamp >= {from:DateTime64(9, 'UTC')} AND t.timestamp < {to:DateTime64(9, 'UTC')}
    UNION ALL
    SELECT
        t.timestamp AS timestamp,
        t.transaction_id AS transaction_id,
        t.debit_account_id AS counterparty_account_id,
        t.amount AS change,
        t.currency AS currency,
        t.transaction_type AS transaction_type,
        t.resource_type AS resource_type,
        t.resource_id AS resource_id,
        t.pending_id AS pending_id,
        t.trace_id AS trace_id
    FROM masques.transactions AS t
    WHERE t.credit_account_id = {account:UUID}
        AND t.event_type IN ('single_phase', 'two_phase_posted')
        AND t.timestamp >= {from:DateTime64(9, 'UTC')} AND t.timestamp < {to:DateTime64(9, 'UTC')}
)
ORDER BY timestamp
LIMIT 1 BY timestamp
COMMENT 'What was posted to one account, oldest first. Open holds are not in it. Parameters: account - the ledger account; from - first ledger time, UTC; to - end, exclusive. Columns: timestamp - ledger time of the posting; transaction_id - the transfer; counterparty_account_id - the other account; change - amount in whole units of the currency: above 0 credited, below 0 debited; currency, transaction_type, resource_type, resource_id, pending_id, trace_id - as in masques.transactions.';

-- Balances of each account at the end of each day on which they changed, proved. The newest day may
-- still be going on. Reading one account reads that account's days and nothing else.
CREATE OR REPLACE VIEW masques_marts.account_history
(
    account_id UUID COMMENT 'the ledger account',
    day Date32 COMMENT 'the day, UTC',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    currency String COMMENT 'asset of the ledger by the chart; ledger_<n> when unknown',
    unit Int256 COMMENT '10^(18 - scale): a raw unit in steps of 10^-18 of a whole unit',
    debits_posted Decimal(76, 18)
        COMMENT 'sum of all posted debits at the end of the day, in whole units of the currency',
    credits_posted Decimal(76, 18)
        COMMENT 'sum of all posted credits at the end of the day, in whole units of the currency',
    debits_pending Decimal(76, 18)
        COMMENT 'sum of open holds against the account at the end of the day, in whole units of the currency',
    credits_pending Decimal(76, 18)
        COMMENT 'sum of open holds in favour of the account at the end of the day, in whole units of the currency',
    balance Decimal(76, 18) COMMENT 'credits_posted - debits_posted, in whole units of the currency',
    debited_that_day Decimal(76, 18) COMMENT 'debits posted on the day, in whole units of the currency',
    credited_that_day Decimal(76, 18) COMMENT 'credits posted on the day, in whole units of the currency',
    movements UInt64 COMMENT 'changes of a balance on the day; an expiry or a post of a hold is one too'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
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
WINDOW account AS (PARTITION BY d.account_id ORDER BY d.day)
COMMENT 'Proved balances of each account at the end of each day on which they changed. The latest day may still change.';

-- Each identity as it is now.
CREATE OR REPLACE VIEW masques_marts.identities_current
(
    identity_id UUID COMMENT 'id of the identity, given by the platform',
    identity_type LowCardinality(String) COMMENT 'agent, user or service',
    created_at DateTime64(9, 'UTC') COMMENT 'when the identity was registered, by the clock of the platform',
    display_name String COMMENT 'name to show; empty when none was given',
    attributes Map(LowCardinality(String), String)
        COMMENT 'free properties, by name; key_id and public_key are recorded as keys',
    external_ids Map(LowCardinality(String), String) COMMENT 'ids elsewhere: wallet, ERC-8004 agent, node',
    status LowCardinality(String) COMMENT 'active, suspended or revoked',
    status_reason String COMMENT 'why the status is what it is; empty when nobody said',
    updated_at DateTime64(9, 'UTC') COMMENT 'when the current version was written, by the clock of the platform',
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the row was loaded into this warehouse'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    identity_id, identity_type, created_at, display_name, attributes, external_ids, status,
    status_reason, updated_at, ingested_at
FROM masques.identities FINAL
COMMENT 'Each identity as it is now: one row per identity.';

-- Each session once, from whatever was reported of it: a don, a doff, or a complete report. A later
-- report fills a field that is empty so far; it never empties one.
--
-- The join changes no row: a session has its own identity among those of its reports. It is there so that
-- a filter on identity_id reaches the table, and the sessions found then limit the reports that are
-- merged (1 CPU s for one identity of 5 million sessions; merging all of them took over 50).
-- Nor does the LIMIT: behind it the optimizer knows no number of rows, so it keeps the sides of the join.
-- From the statistics that merges make it took a second filter (on the masque, say) for a reason to swap
-- them, and then merges all sessions (engine 26.9.2; a setting in the view does not stop it).
CREATE OR REPLACE VIEW masques_marts.sessions_current
(
    session_id UUID COMMENT 'id of the session',
    identity_id UUID COMMENT 'who wears the masque; the zero UUID when no report says',
    masque_name String COMMENT 'name of the masque; empty when no report says',
    masque_version String COMMENT 'version of the masque; empty when no report says',
    masque_source String COMMENT 'private, shared or marketplace; empty when no report says',
    donned_at DateTime64(9, 'UTC') COMMENT 'when the masque was put on',
    doffed_at Nullable(DateTime64(9, 'UTC'))
        COMMENT 'when the masque was taken off, reported or from the duration; NULL while it is worn',
    duration_ms Nullable(UInt64)
        COMMENT 'length of the session in milliseconds, reported or from its ends; NULL while unknown',
    intent String COMMENT 'what the session was for, in the words of the identity; empty when not reported',
    client_info Map(String, String) COMMENT 'properties of the client program, by name; empty when not reported',
    trace_id String COMMENT '32 lower-case hex digits, or empty',
    author_id UUID COMMENT 'who is paid for the masque; the zero UUID when not reported',
    transaction_id Nullable(UUID) COMMENT 'the hold in the ledger; NULL when not reported',
    charged Nullable(Decimal(76, 18))
        COMMENT 'what was charged for the session at its doff, beside its requests, in whole units of charged_currency; NULL when no report says',
    charged_currency String COMMENT 'asset that was charged; empty when charged is NULL',
    has_don UInt8 COMMENT '1 when the beginning was reported',
    has_doff UInt8 COMMENT '1 when the end was reported',
    reports UInt64 COMMENT 'how many reports there are'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    s.session_id AS session_id,
    reported.identity_id AS identity_id,
    s.masque_name AS masque_name,
    s.masque_version AS masque_version,
    s.masque_source AS masque_source,
    s.donned_at AS donned_at,
    s.doffed_at AS doffed_at,
    s.duration_ms AS duration_ms,
    s.intent AS intent,
    s.client_info AS client_info,
    s.trace_id AS trace_id,
    s.author_id AS author_id,
    s.transaction_id AS transaction_id,
    s.charge.1 AS charged,
    s.charge.2 AS charged_currency,
    s.has_don AS has_don,
    s.has_doff AS has_doff,
    s.reports AS reports
FROM
(
    SELECT
        r.session_id AS session_id,
        maxIf(r.identity_id, r.identity_id != toUUID('00000000-0000-0000-0000-000000000000'))
            AS identity_id,
        max(toString(r.masque_name)) AS masque_name,
        max(toString(r.masque_version)) AS masque_version,
        max(toString(r.masque_source)) AS masque_source,
        min(r.donned_at) AS donned_at,
        coalesce(
            max(r.doffed_at),
            max(fromUnixTimestamp64Nano(
                toUnixTimestamp64Nano(r.donned_at) + toInt64(r.duration_ms) * 1000000, 'UTC')))
            AS doffed_at,
        coalesce(
            max(r.duration_ms),
            toUInt64(intDiv(
                toUnixTimestamp64Nano(max(r.doffed_at)) - toUnixTimestamp64Nano(min(r.donned_at)),
                1000000))) AS duration_ms,
        max(r.intent) AS intent,
        argMax(r.client_info, length(r.client_info)) AS client_info,
        max(r.trace_id) AS trace_id,
        maxIf(r.author_id, r.author_id != toUUID('00000000-0000-0000-0000-000000000000'))
            AS author_id,
        max(r.transaction_id) AS transaction_id,
        -- Both of one report; where two say different things, intake_findings does.
        argMax((r.charged, toString(r.charged_currency)), ifNull(r.charged, -1)) AS charge,
        countIf(r.report IN ('don', 'session')) > 0 AS has_don,
        countIf(r.report IN ('doff', 'session')) > 0 AS has_doff,
        count() AS reports
    FROM masques.masque_sessions AS r
    GROUP BY r.session_id
    LIMIT 1 BY r.session_id
) AS s
INNER ANY JOIN
(
    SELECT k.session_id AS session_id, k.identity_id AS identity_id
    FROM masques.masque_sessions AS k
) AS reported ON reported.session_id = s.session_id AND reported.identity_id = s.identity_id
COMMENT 'Each session once, merged from its reports, whatever their order. For one identity use sessions_of.';

-- The sessions of one identity, by keys: as fast whatever the engine makes of the view above.
CREATE OR REPLACE VIEW masques_marts.sessions_of
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    session_id, identity_id, masque_name, masque_version, masque_source, donned_at, doffed_at,
    duration_ms, intent, client_info, trace_id, author_id, transaction_id, charged,
    charged_currency, has_don, has_doff, reports
FROM masques_marts.sessions_current
WHERE identity_id = {identity:UUID} AND session_id IN
(
    SELECT k.session_id
    FROM masques.masque_sessions AS k
    WHERE k.identity_id = {identity:UUID}
)
COMMENT 'The sessions of one identity, as in masques_marts.sessions_current. Parameters: identity - the identity. Columns: session_id .. reports - as in masques_marts.sessions_current.';

-- What is loaded and yet cannot be right, or not yet: findings, not errors. One of something missing
-- goes by itself when it comes.
CREATE OR REPLACE VIEW masques_marts.intake_findings
(
    finding String COMMENT 'what is wrong, for instance doff_without_don',
    table_name String COMMENT 'table that the row is in',
    id UUID COMMENT 'key of the row',
    at DateTime64(9, 'UTC') COMMENT 'when the fact of the row happened',
    identity_id UUID COMMENT 'identity of the row; the zero UUID for none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    'doff_without_don' AS finding,
    'masque_sessions' AS table_name,
    s.session_id AS id,
    s.donned_at AS at,
    s.identity_id AS identity_id
FROM masques_marts.sessions_current AS s
WHERE NOT s.has_don
UNION ALL
SELECT 'session_without_identity', 'masque_sessions', s.session_id, s.donned_at, s.identity_id
FROM masques_marts.sessions_current AS s
WHERE s.identity_id NOT IN (SELECT i.identity_id FROM masques.identities AS i)
UNION ALL
SELECT 'request_of_unknown_session', 'api_requests', a.request_id, a.timestamp, a.identity_id
FROM masques.api_requests AS a
WHERE isNotNull(a.session_id)
    AND assumeNotNull(a.session_id) NOT IN (SELECT m.session_id FROM masques.masque_sessions AS m)
UNION ALL
SELECT 'paid_without_transaction', 'api_requests', a.request_id, a.timestamp, a.identity_id
FROM masques.api_requests AS a
WHERE a.payment_status = 'paid' AND isNull(a.transaction_id)
UNION ALL
SELECT 'charged_without_transaction', 'api_requests', a.request_id, a.timestamp, a.identity_id
FROM masques.api_requests AS a
WHERE a.charged > 0 AND isNull(a.transaction_id) AND a.payment_status != 'paid'
UNION ALL
SELECT
    'charges_of_session_differ', 'masque_sessions', r.session_id, min(r.donned_at),
    max(r.identity_id)
FROM masques.masque_sessions AS r
WHERE isNotNull(r.charged)
GROUP BY r.session_id
HAVING uniqExact(r.charged, r.charged_currency) > 1
UNION ALL
-- Without skip indexes, with which the engine was seen to leave out rows (see current_by_id.sql).
SELECT
    'refund_without_transfer', 'payment_links', l.transaction_id, l.timestamp,
    toUUID('00000000-0000-0000-0000-000000000000')
FROM masques_ops.payment_links AS l
WHERE l.transaction_id NOT IN
(
    SELECT t.transaction_id
    FROM masques.transactions AS t
    WHERE t.transaction_id IN (SELECT k.transaction_id FROM masques_ops.payment_links AS k)
    SETTINGS use_skip_indexes = 0
)
UNION ALL
SELECT
    'refund_of_unknown_payment', 'payment_links', l.transaction_id, l.timestamp,
    toUUID('00000000-0000-0000-0000-000000000000')
FROM masques_ops.payment_links AS l
WHERE l.refund_of NOT IN
(
    SELECT t.transaction_id
    FROM masques.transactions AS t
    WHERE t.transaction_id IN (SELECT k.refund_of FROM masques_ops.payment_links AS k)
    SETTINGS use_skip_indexes = 0
)
UNION ALL
SELECT 'event_of_unknown_identity', 'reputation_events', e.event_id, e.timestamp, e.identity_id
FROM masques.reputation_events AS e
WHERE e.identity_id NOT IN (SELECT i.identity_id FROM masques.identities AS i)
COMMENT 'Loaded rows that do not fit together, or not yet. A finding of something missing goes away when it comes.';

-- Each settlement as it stands: its latest revision, exact before any merge. Sum this view.
--
-- The join gives one row per settlement, also where a revision was written twice. It is written so that
-- a filter on any column reaches the table: the rows that pass it then limit the revisions that are
-- grouped (0.1 CPU s for one of a million settlements; ordering all rows took 20).
CREATE OR REPLACE VIEW masques_marts.settlements_current
(
    settlement_id UUID COMMENT 'uuid5 of the payment''s own identity on its rail',
    timestamp DateTime64(9, 'UTC') COMMENT 'time of the fact: block, settle, or intent',
    rail LowCardinality(String) COMMENT 'lightning, solana or base; base means any EVM network: see network',
    protocol LowCardinality(String) COMMENT 'x402, l402, mpp (Machine Payments Protocol), or empty when no line of the journal names the payment',
    amount Decimal(76, 18) COMMENT 'amount paid, in whole units of the currency',
    currency LowCardinality(String) COMMENT 'asset that was paid: USD, BTC, SOL and so on',
    tx_hash String COMMENT 'transaction on the chain, or the payment hash on Lightning; empty while there is none',
    block_height Nullable(UInt64) COMMENT 'number of the block or slot; NULL while in none',
    confirmations UInt32 COMMENT 'blocks on top of it when this revision was written',
    from_account_id UUID COMMENT 'the payer''s account in the ledger; zero when unattributed',
    to_address String COMMENT 'address that is paid; on Lightning the public key of the node',
    status LowCardinality(String) COMMENT 'pending, confirmed, failed, unknown, superseded, off_chain, claimable or not_followed: see docs/rails.md',
    failure_reason String COMMENT 'why the payment failed, is unknown or is not followed; empty otherwise',
    network_fee Decimal(76, 18) COMMENT 'in fee_currency',
    facilitator_fee Decimal(76, 18) COMMENT 'in currency',
    direction LowCardinality(String) COMMENT 'in or out',
    revision UInt32 COMMENT 'number of the latest revision, 1 and up',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when this revision was written',
    finality LowCardinality(String) COMMENT 'the rail''s own word; empty for an intent',
    block_hash String COMMENT 'hash of the block; empty while in none',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
    asset String COMMENT 'token contract or mint; empty for the rail''s own coin',
    payer String COMMENT 'address that pays, EVM addresses in lower case; empty when unknown',
    payment_ref String COMMENT 'nonce, payment hash or signature',
    fee_currency LowCardinality(String) COMMENT 'asset that network_fee is paid in',
    transaction_id Nullable(UUID) COMMENT 'the first ledger transfer of masques_ops.settlement_links; NULL without a link',
    attributes Map(LowCardinality(String), String) COMMENT 'further facts of the rail, by name'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    s.settlement_id AS settlement_id,
    s.timestamp AS timestamp,
    s.rail AS rail,
    s.protocol AS protocol,
    s.amount AS amount,
    s.currency AS currency,
    s.tx_hash AS tx_hash,
    s.block_height AS block_height,
    s.confirmations AS confirmations,
    s.from_account_id AS from_account_id,
    s.to_address AS to_address,
    s.status AS status,
    s.failure_reason AS failure_reason,
    s.network_fee AS network_fee,
    s.facilitator_fee AS facilitator_fee,
    s.direction AS direction,
    s.revision AS revision,
    s.recorded_at AS recorded_at,
    s.finality AS finality,
    s.block_hash AS block_hash,
    s.network AS network,
    s.asset AS asset,
    s.payer AS payer,
    s.payment_ref AS payment_ref,
    s.fee_currency AS fee_currency,
    s.transaction_id AS transaction_id,
    s.attributes AS attributes
FROM masques.settlements AS s
INNER ANY JOIN
(
    SELECT settlement_id, max(revision) AS revision
    FROM masques.settlements
    GROUP BY settlement_id
) AS latest ON latest.settlement_id = s.settlement_id AND latest.revision = s.revision
COMMENT 'Each settlement as it stands: its latest revision, exact before any merge. Sum this view.';

-- Announcements whose transaction the chain records as another settlement: one by Permit2, one of
-- `upto`, a payout. The money is the same: the same transaction, asset, receiver and direction, the same
-- payer where both know it, and not more than was announced; exactly as much when we paid it out. Where
-- two settlements of the transaction fit, neither is taken, except of payouts that are alike: as many
-- lines as transfers of one amount to one receiver belong together in their order.
CREATE OR REPLACE VIEW masques_ops.announcements_recorded
(
    announced_id UUID COMMENT 'the settlement that a line announced',
    settlement_id UUID COMMENT 'the settlement of the chain that records its money'
)
AS
WITH
    announced AS
    (
        SELECT settlement_id, rail, network, tx_hash, asset, direction, to_address, payer, amount
        FROM masques_marts.settlements_current
        WHERE finality = '' AND tx_hash != '' AND status IN ('pending', 'unknown')
    ),
    -- Announcements that are alike, and the transfers that fit them.
    alike AS
    (
        SELECT
            a.direction AS direction,
            arraySort(groupUniqArray(a.settlement_id)) AS lines,
            arraySort(groupUniqArray(c.settlement_id)) AS transfers
        FROM announced AS a
        INNER JOIN
        (
            SELECT settlement_id, rail, network, tx_hash, asset, direction, to_address, payer, amount
            FROM masques_marts.settlements_current
            WHERE finality != '' AND status = 'confirmed'
                AND tx_hash IN (SELECT tx_hash FROM announced)
        ) AS c ON c.tx_hash = a.tx_hash AND c.rail = a.rail AND c.network = a.network
            AND c.asset = a.asset AND c.direction = a.direction
        WHERE c.to_address = a.to_address
            AND (c.amount = a.amount OR (c.amount < a.amount AND a.direction = 'in'))
            AND (a.payer = '' OR c.payer = '' OR a.payer = c.payer)
            AND c.settlement_id != a.settlement_id
        GROUP BY
            a.rail, a.network, a.tx_hash, a.asset, a.to_address, a.payer, a.amount, direction
        HAVING length(transfers) = 1 OR (direction = 'out' AND length(transfers) = length(lines))
    )
SELECT pair.1 AS announced_id, pair.2 AS settlement_id
FROM
(
    SELECT arrayJoin(arrayMap(
        (line, place) -> (line, transfers[if(length(transfers) = 1, 1, place)]),
        lines, arrayEnumerate(lines))) AS pair
    FROM alike
)
COMMENT 'Announcements whose money the chain records as another settlement.';

-- The settlements that any revision of which had this transaction hash or payment reference.
CREATE OR REPLACE VIEW masques_marts.settlement_of
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height, confirmations, from_account_id, to_address, status, failure_reason, network_fee, facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer, payment_ref, fee_currency, transaction_id, attributes
FROM masques_marts.settlements_current
WHERE settlement_id IN
(
    SELECT settlement_id
    FROM masques.settlements
    WHERE tx_hash = {hash:String}
    UNION ALL
    SELECT settlement_id
    FROM masques.settlements
    WHERE payment_ref = {hash:String}
)
COMMENT 'The settlements of a transaction hash or payment reference, of any of their revisions, as they stand now. Parameters: hash - transaction hash, payment hash, nonce or signature, as the table has it. Columns: settlement_id .. attributes - as in masques_marts.settlements_current.';

-- Money and counts by rail: what came in, what went out, what is on its way.
CREATE OR REPLACE VIEW masques_marts.settlements_by_rail
(
    rail LowCardinality(String) COMMENT 'lightning, solana or base; base means any EVM network: see network',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
    currency LowCardinality(String) COMMENT 'asset that was paid: USD, BTC, SOL and so on',
    direction LowCardinality(String) COMMENT 'in or out',
    status LowCardinality(String) COMMENT 'pending, confirmed, failed, unknown, off_chain, claimable or not_followed: see docs/rails.md',
    settlements UInt64 COMMENT 'number of settlements',
    amount Decimal(76, 18) COMMENT 'sum of the amounts, in whole units of the currency',
    unattributed UInt64 COMMENT 'settlements without an account of the payer',
    without_transaction UInt64 COMMENT 'settlements without a ledger transfer',
    newest DateTime64(9, 'UTC') COMMENT 'time of the latest fact'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    rail,
    network,
    currency,
    direction,
    status,
    count() AS settlements,
    sum(amount) AS amount,
    countIf(from_account_id = toUUID('00000000-0000-0000-0000-000000000000')) AS unattributed,
    countIf(transaction_id IS NULL) AS without_transaction,
    max(timestamp) AS newest
FROM masques_marts.settlements_current
-- Their money is in the row of the settlement that superseded them.
WHERE status != 'superseded'
GROUP BY rail, network, currency, direction, status
COMMENT 'Money and number of settlements by rail, network, currency, direction and status; without superseded ones, whose money another has.';

-- What payment channels owe us and nobody has claimed yet, and until when it can be claimed: once the payer
-- asks its money back, the end of the delay; else not before the delay after what was read last.
CREATE OR REPLACE VIEW masques_marts.unclaimed_channels
(
    rail LowCardinality(String) COMMENT 'base',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain',
    channel_id String COMMENT 'the channel, 32 bytes of hex: settlements.payment_ref of its vouchers',
    payer String COMMENT 'who pays through it',
    currency String COMMENT 'asset that is paid',
    vouchers UInt64 COMMENT 'vouchers that are accepted and not claimed',
    unclaimed Decimal(76, 18) COMMENT 'their sum',
    backed Decimal(76, 18) COMMENT 'what of it the escrow is known to hold: vouchers that are claimable',
    at_risk Decimal(76, 18) COMMENT 'what of it the payer has asked back: lost when it is not claimed in time',
    deadline Nullable(DateTime('UTC')) COMMENT 'when the payer can take that; NULL when nothing of it is asked back',
    last_minute Nullable(DateTime('UTC')) COMMENT 'until then nothing can be lost: the deadline, or the delay after the newest block that was read; NULL before a deposit for it was read',
    withdraw_delay_s UInt32 COMMENT 'how long the payer has to wait, from when it asks',
    oldest DateTime64(9, 'UTC') COMMENT 'time of the first of the vouchers',
    read_at Nullable(DateTime64(9, 'UTC')) COMMENT 'time of the newest final block that was read; NULL before the first'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    v.rail AS rail,
    v.network AS network,
    v.channel_id AS channel_id,
    v.payer AS payer,
    v.currency AS currency,
    v.vouchers AS vouchers,
    v.unclaimed AS unclaimed,
    v.backed AS backed,
    v.at_risk AS at_risk,
    if(v.deadline_s = 0, NULL, toDateTime(v.deadline_s, 'UTC')) AS deadline,
    if(v.backed = 0, NULL,
        coalesce(deadline, toDateTime(r.read_to, 'UTC') + toIntervalSecond(k.withdraw_delay_s))) AS last_minute,
    k.withdraw_delay_s AS withdraw_delay_s,
    v.oldest AS oldest,
    r.read_to AS read_at
FROM
(
    SELECT
        rail, network, payment_ref AS channel_id,
        any(s.payer) AS payer,
        any(s.currency) AS currency,
        count() AS vouchers,
        sum(s.amount) AS unclaimed,
        sumIf(s.amount, s.status = 'claimable') AS backed,
        sumIf(s.amount, s.status = 'claimable' AND s.until_s > 0) AS at_risk,
        minIf(s.until_s, s.status = 'claimable' AND s.until_s > 0) AS deadline_s,
        min(s.timestamp) AS oldest
    FROM
    (
        SELECT rail, network, payment_ref, payer, currency, amount, status, timestamp,
            toUInt32OrZero(attributes['deadline_s']) AS until_s
        FROM masques_marts.settlements_current
        WHERE status IN ('off_chain', 'claimable') AND mapContains(attributes, 'charged_total')
    ) AS s
    GROUP BY rail, network, payment_ref
) AS v
LEFT JOIN (SELECT rail, network, channel_id, withdraw_delay_s FROM masques_ops.channels FINAL) AS k
    ON k.rail = v.rail AND k.network = v.network AND k.channel_id = v.channel_id
LEFT JOIN (SELECT rail, network, read_to FROM masques_ops.rail_cursors FINAL) AS r
    ON r.rail = v.rail AND r.network = v.network
COMMENT 'Payments by voucher that nobody has claimed yet, by payment channel, with the last minute to claim them. One row per channel.';

-- The batches of Circle Gateway that settled payments: what each brought, and what of it no line names.
CREATE OR REPLACE VIEW masques_marts.gateway_batches
(
    rail LowCardinality(String) COMMENT 'base',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain',
    batch String COMMENT 'transaction of the batch: settlements.tx_hash of its payments',
    to_address String COMMENT 'whose balance in Circle Gateway grew',
    currency String COMMENT 'asset that was paid',
    settled_at DateTime64(9, 'UTC') COMMENT 'time of its block',
    payments UInt64 COMMENT 'confirmed payments of it',
    amount Decimal(76, 18) COMMENT 'their sum',
    brought Nullable(Decimal(76, 18)) COMMENT 'what the call of the batch changed the balance by; NULL when the call cannot be read',
    unnamed Nullable(Decimal(76, 18)) COMMENT 'brought less amount: payments that no line of the journal names, or less what was paid from the same balance; NULL when the call cannot be read'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    rail,
    network,
    batch,
    to_address,
    any(s.currency) AS currency,
    max(s.timestamp) AS settled_at,
    count() AS payments,
    sum(s.amount) AS amount,
    CAST(toDecimal256OrNull(max(s.net), 18), 'Nullable(Decimal(76, 18))') AS brought,
    CAST(brought - amount, 'Nullable(Decimal(76, 18))') AS unnamed
FROM
(
    SELECT
        rail, network, to_address, currency, timestamp, amount,
        attributes['batch_hash'] AS batch,
        attributes['batch_net'] AS net
    FROM masques_marts.settlements_current
    WHERE status = 'confirmed' AND attributes['batch_hash'] != ''
) AS s
GROUP BY rail, network, batch, to_address
COMMENT 'Batches of Circle Gateway that settled payments to us, with what of each no line of the journal names. One row per transaction and address.';

-- What each payment that a facilitator settled should have cost by the chart. Basis points of an amount
-- in another asset than the fee count where the chart books one 1:1 in the other; else the fee is not
-- known. What is free in a month is the first of it, by time.
CREATE OR REPLACE VIEW masques_marts.settlement_fees
(
    settlement_id UUID COMMENT 'the settlement',
    facilitator String COMMENT 'name in the chart, by the address that sent the transaction',
    timestamp DateTime64(9, 'UTC') COMMENT 'time of its block',
    month Date COMMENT 'first day of its month, UTC',
    rail LowCardinality(String) COMMENT 'solana or base; base means any EVM network: see network',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain',
    amount Decimal(76, 18) COMMENT 'amount paid, in whole units of the currency',
    currency LowCardinality(String) COMMENT 'asset that was paid',
    fee_asset String COMMENT 'what the fee is in; empty when the chart has none for its day',
    is_free UInt8 COMMENT '1 when it is one of the payments of its month that cost nothing',
    estimated Nullable(Decimal(76, 18)) COMMENT 'the fee by the chart; NULL when the chart has none for its day, or its basis points are of an asset that is not booked 1:1'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    booked AS
    (
        SELECT groupUniqArray((asset, arrayJoin(rail_assets))) AS pairs FROM masques_ops.chart_ledgers
    ),
    known AS
    (
        SELECT
            s.settlement_id AS settlement_id, a.facilitator AS facilitator, s.timestamp AS timestamp,
            toStartOfMonth(toDate(s.timestamp)) AS month, s.rail AS rail, s.network AS network,
            s.amount AS amount, s.currency AS currency,
            arrayLast(each -> each.1 <= toDate(s.timestamp), f.fees) AS fee,
            arrayExists(each -> each.1 <= toDate(s.timestamp), f.fees) AS has_fee,
            row_number() OVER
                (PARTITION BY a.facilitator, month ORDER BY s.timestamp, s.settlement_id) AS place
        FROM
        (
            SELECT settlement_id, timestamp, rail, network, amount, currency,
                attributes['submitted_by'] AS submitted_by
            FROM masques_marts.settlements_current
            WHERE status = 'confirmed' AND direction = 'in' AND protocol = 'x402'
                AND attributes['submitted_by'] IN
                    (SELECT address FROM masques_ops.chart_facilitators WHERE role = 'facilitator')
        ) AS s
        INNER JOIN (SELECT address, facilitator FROM masques_ops.chart_facilitators WHERE role = 'facilitator') AS a
            ON a.address = s.submitted_by
        LEFT JOIN masques_ops.chart_facilitator_fees AS f ON f.facilitator = a.facilitator
    )
SELECT
    settlement_id, facilitator, timestamp, month, rail, network, amount, currency,
    if(has_fee, fee.asset, '') AS fee_asset,
    toUInt8(has_fee AND place <= fee.free_per_month) AS is_free,
    CAST(multiIf(
        NOT has_fee, NULL,
        is_free, toDecimal256(0, 18),
        fee.basis_points = 0, CAST(fee.flat, 'Decimal(76, 18)'),
        (currency != fee.asset AND NOT has((SELECT pairs FROM booked), (fee.asset, toString(currency))))
            OR amount > toDecimal256('1e50', 18), NULL,
        fee.flat + divideDecimal(
            multiplyDecimal(least(amount, toDecimal256('1e50', 18)), CAST(fee.basis_points, 'Decimal(76, 4)'), 18),
            toDecimal256(10000, 0), 18)),
        'Nullable(Decimal(76, 18))') AS estimated
FROM known
COMMENT 'What payments that a facilitator settled should have cost by the chart. One row per confirmed payment of a known facilitator.';

-- What facilitators should have charged and did charge. What was paid to them on a rail counts where it
-- is in the fee's asset, or booked 1:1 in it.
CREATE OR REPLACE VIEW masques_marts.facilitator_fees
(
    facilitator String COMMENT 'name in the chart',
    month Date COMMENT 'first day of the month, UTC',
    fee_asset String COMMENT 'what the fees are in',
    payments UInt64 COMMENT 'confirmed payments that it settled',
    free UInt64 COMMENT 'payments of them that cost nothing',
    not_estimated UInt64 COMMENT 'payments of them whose fee the chart does not say',
    estimated Decimal(76, 18) COMMENT 'what it should have charged, by the chart',
    stated Nullable(Decimal(76, 18)) COMMENT 'what its statement charged; NULL when the chart has none of the month',
    paid Decimal(76, 18) COMMENT 'what was paid to its addresses on the rails in the month',
    difference Nullable(Decimal(76, 18)) COMMENT 'stated, else paid, less estimated; NULL when neither is known',
    state String COMMENT 'agrees, differs, not_known: nothing says what was charged, or not_estimated: the chart does not say what should have been'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    booked AS
    (
        SELECT groupUniqArray((asset, arrayJoin(rail_assets))) AS pairs FROM masques_ops.chart_ledgers
    ),
    assets AS
    (
        SELECT facilitator, groupUniqArray(fee.asset) AS known
        FROM (SELECT facilitator, arrayJoin(fees) AS fee FROM masques_ops.chart_facilitator_fees)
        GROUP BY facilitator
    ),
    sides AS
    (
        SELECT facilitator, month, fee_asset, count() AS payments, countIf(e.is_free = 1) AS free,
            countIf(e.estimated IS NULL) AS not_estimated, sum(ifNull(e.estimated, toDecimal256(0, 18))) AS estimated,
            CAST(NULL, 'Nullable(Decimal(76, 18))') AS stated, toDecimal256(0, 18) AS paid
        FROM masques_marts.settlement_fees AS e
        GROUP BY facilitator, month, fee_asset
        UNION ALL
        SELECT facilitator, month, fee_asset, 0, 0, 0, toDecimal256(0, 18), charged, toDecimal256(0, 18)
        FROM masques_ops.chart_facilitator_statements
        UNION ALL
        SELECT
            a.facilitator AS facilitator, toStartOfMonth(toDate(s.timestamp)) AS month,
            ifNull(arrayFirst(
                name -> name = s.currency OR has((SELECT pairs FROM booked), (name, toString(s.currency))),
                k.known), '') AS fee_asset,
            0, 0, 0, toDecimal256(0, 18), NULL, sum(s.amount)
        FROM
        (
            SELECT timestamp, to_address, currency, amount FROM masques_marts.settlements_current
            WHERE status = 'confirmed' AND direction = 'out' AND to_address IN
                (SELECT address FROM masques_ops.chart_facilitators WHERE role = 'facilitator_account')
        ) AS s
        INNER JOIN (SELECT address, facilitator FROM masques_ops.chart_facilitators WHERE role = 'facilitator_account') AS a
            ON a.address = s.to_address
        LEFT JOIN assets AS k ON k.facilitator = a.facilitator
        GROUP BY facilitator, month, fee_asset
    )
SELECT
    facilitator, month, fee_asset,
    sum(s.payments) AS payments,
    sum(s.free) AS free,
    sum(s.not_estimated) AS not_estimated,
    CAST(sum(s.estimated), 'Decimal(76, 18)') AS estimated,
    CAST(max(s.stated), 'Nullable(Decimal(76, 18))') AS stated,
    CAST(sum(s.paid), 'Decimal(76, 18)') AS paid,
    CAST(multiIf(stated IS NOT NULL, stated - estimated, paid != 0, paid - estimated, NULL),
        'Nullable(Decimal(76, 18))') AS difference,
    multiIf(not_estimated > 0, 'not_estimated', difference IS NULL, 'not_known', difference = 0, 'agrees', 'differs')
        AS state
FROM sides AS s
GROUP BY facilitator, month, fee_asset
COMMENT 'What facilitators should have charged by the chart, and did charge by their statements or what was paid to them. One row per facilitator, month and asset.';

-- What the chain says: per rail and asset the opening balance, what the settlements moved since, and what
-- is there. Each node of Lightning is a row of its own. Each address counts from its first reading to its last one, so that one that is added brings
-- what it has, and one that is dropped takes it away: the check goes on for the others. Other lines of a
-- node (Lightning) are another address. On a rail with blocks a settlement counts by its block, else by its
-- time; it is of the address of ours that it names. The fees of what left are ours; a flow is what moved
-- beside settlements (Lightning's forwards, say). A reading that the node could not give (it no longer has
-- the state) is inconclusive; a difference that an earlier one shows stays.
CREATE OR REPLACE VIEW masques_marts.chain_balances
(
    rail LowCardinality(String) COMMENT 'lightning, solana or base; base means any EVM network: see network',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
    node String COMMENT 'public key of the node on Lightning, whose nodes answer at times of their own; empty otherwise',
    asset String COMMENT 'token contract or mint; empty for the rail''s own coin',
    currency String COMMENT 'asset as settlements.currency has it',
    state String COMMENT 'agrees, differs, inconclusive, or opening while there is one reading only',
    opening_block UInt64 COMMENT 'block of the opening balance; 0 on a rail without blocks',
    opening_at DateTime64(9, 'UTC') COMMENT 'time of the opening balance',
    opening Decimal(76, 18) COMMENT 'what was there then',
    added Decimal(76, 18) COMMENT 'what addresses had that were added since then',
    dropped Decimal(76, 18) COMMENT 'what addresses had that were dropped since then',
    came_in Decimal(76, 18) COMMENT 'confirmed settlements since then',
    went_out Decimal(76, 18) COMMENT 'confirmed settlements since then',
    fees Decimal(76, 18) COMMENT 'network fees of what left, where they are paid in this asset',
    flows Decimal(76, 18) COMMENT 'what moved beside settlements since then; negative when it left',
    expected Decimal(76, 18) COMMENT 'opening + added - dropped + came_in - went_out - fees + flows',
    balance Decimal(76, 18) COMMENT 'what is there by the newest reading that the node could give',
    difference Decimal(76, 18) COMMENT 'balance - expected: negative when money left that no settlement records',
    block UInt64 COMMENT 'block of that reading; 0 on a rail without blocks',
    read_at DateTime64(9, 'UTC') COMMENT 'time of that reading',
    added_addresses Array(String) COMMENT 'addresses that were added since the opening, and from which block on',
    dropped_addresses Array(String) COMMENT 'addresses that were dropped since the opening, and up to which block',
    problem String COMMENT 'why the newest reading is not known; empty when it is',
    no_longer_read_since Nullable(DateTime64(9, 'UTC')) COMMENT 'time of the last reading of a network or node that the newest run does not read: it is out of the settings; NULL while it is read'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    -- What the newest run reads; a node of Lightning by its key, where its cursor has it already.
    (
        SELECT groupUniqArray((toString(r.rail), toString(r.network), JSONExtractString(c.cursor, 'pubkey')))
        FROM masques_ops.rail_runs_now AS r
        LEFT JOIN (SELECT rail, network, node, cursor FROM masques_ops.rail_cursors FINAL) AS c
            ON c.rail = r.rail AND c.network = r.network AND c.node = r.node
        WHERE r.state != 'off'
    ) AS read_now,
    (SELECT count() FROM masques_ops.rail_runs_now) AS runs,
    parts AS
    (
        SELECT
            rail, network, if(b.rail = 'lightning', b.address, '') AS node, asset, block, read_at, address,
            any(b.currency) AS currency,
            sumIf(b.balance, b.is_flow = 0) AS held,
            sumIf(b.balance, b.is_flow = 1) AS flowed,
            cityHash64(arraySort(groupArray(toString(b.line)))) AS lines,
            max(b.problem) AS why
        FROM masques_ops.rail_balances AS b FINAL
        GROUP BY rail, network, node, asset, block, read_at, address
    ),
    newest AS
    (
        SELECT rail, network, node, asset, argMax(reading_why, (block, read_at)) AS newest_why
        FROM
        (
            SELECT rail, network, node, asset, block, read_at, max(why) AS reading_why
            FROM parts
            GROUP BY rail, network, node, asset, block, read_at
        )
        GROUP BY rail, network, node, asset
    ),
    known AS
    (
        SELECT
            rail, network, node, asset, block, read_at, address, currency, held, flowed, lines, why,
            dense_rank() OVER (PARTITION BY rail, network, node, asset ORDER BY block, read_at) AS reading
        FROM
        (
            SELECT
                rail, network, node, asset, block, read_at, address, currency, held, flowed, lines, why,
                max(why) OVER (PARTITION BY rail, network, node, asset, block, read_at) AS reading_why
            FROM parts
        )
        WHERE reading_why = ''
    ),
    spans AS
    (
        SELECT
            rail, network, node, asset, address,
            any(currency) AS currency,
            min(reading) AS first_reading,
            max(reading) AS last_reading,
            argMin((block, read_at, held, flowed), reading) AS first,
            argMax((block, read_at, held, flowed), reading) AS last
        FROM
        (
            SELECT
                rail, network, node, asset, block, read_at, address, currency, held, flowed, lines, why, reading,
                reading - row_number() OVER
                    (PARTITION BY rail, network, node, asset, address, lines ORDER BY reading) AS span
            FROM known
        )
        GROUP BY rail, network, node, asset, address, lines, span
    ),
    moved AS
    (
        SELECT
            s.rail AS rail, s.network AS network, p.node AS node, s.asset AS asset,
            sumIf(s.amount, s.direction = 'in') AS sum_in,
            sumIf(s.amount, s.direction = 'out') AS sum_out,
            sumIf(s.network_fee, s.direction = 'out' AND s.fee_currency = s.currency) AS sum_fees
        FROM
        (
            SELECT
                rail, network, asset, direction, amount, network_fee, fee_currency, currency,
                block_height, timestamp,
                multiIf(
                    attributes['token_account'] != '', attributes['token_account'],
                    direction = 'in', to_address,
                    payer) AS address
            FROM masques_marts.settlements_current
            WHERE status = 'confirmed'
        ) AS s
        INNER JOIN spans AS p
            ON p.rail = s.rail AND p.network = s.network AND p.asset = s.asset AND p.address = s.address
        WHERE if(s.block_height IS NOT NULL AND p.last.1 > 0,
            s.block_height > p.first.1 AND s.block_height <= p.last.1,
            s.timestamp > p.first.2 AND s.timestamp <= p.last.2)
        GROUP BY rail, network, node, asset
    ),
    sums AS
    (
        SELECT
            rail, network, node, asset,
            argMax(p.currency, last_reading) AS currency,
            argMin((first.1, first.2), first_reading) AS begins,
            argMax((last.1, last.2), last_reading) AS ends,
            sumIf(first.3, first_reading = 1) AS began_with,
            sumIf(first.3, first_reading > 1) AS added,
            sumIf(last.3, last_reading < newest_reading) AS dropped,
            sumIf(last.3, last_reading = newest_reading) AS balance,
            sum(last.4 - first.4) AS flows,
            arraySort(groupArrayIf(concat(address, ' since ', toString(first.1)), first_reading > 1))
                AS added_addresses,
            arraySort(groupArrayIf(concat(address, ' until ', toString(last.1)),
                last_reading < newest_reading)) AS dropped_addresses
        FROM
        (
            SELECT
                rail, network, node, asset, address, currency, first_reading, last_reading, first, last,
                max(last_reading) OVER (PARTITION BY rail, network, node, asset) AS newest_reading
            FROM spans
        ) AS p
        GROUP BY rail, network, node, asset
    )
SELECT
    n.rail AS rail,
    n.network AS network,
    n.node AS node,
    n.asset AS asset,
    u.currency AS currency,
    multiIf(
        balance - expected != 0, 'differs',
        n.newest_why != '', 'inconclusive',
        u.begins = u.ends, 'opening',
        'agrees') AS state,
    u.begins.1 AS opening_block,
    u.begins.2 AS opening_at,
    CAST(u.began_with, 'Decimal(76, 18)') AS opening,
    CAST(u.added, 'Decimal(76, 18)') AS added,
    CAST(u.dropped, 'Decimal(76, 18)') AS dropped,
    CAST(m.sum_in, 'Decimal(76, 18)') AS came_in,
    CAST(m.sum_out, 'Decimal(76, 18)') AS went_out,
    CAST(m.sum_fees, 'Decimal(76, 18)') AS fees,
    CAST(u.flows, 'Decimal(76, 18)') AS flows,
    CAST(opening + added - dropped + came_in - went_out - fees + flows, 'Decimal(76, 18)') AS expected,
    CAST(u.balance, 'Decimal(76, 18)') AS balance,
    CAST(balance - expected, 'Decimal(76, 18)') AS difference,
    u.ends.1 AS block,
    u.ends.2 AS read_at,
    u.added_addresses AS added_addresses,
    u.dropped_addresses AS dropped_addresses,
    n.newest_why AS problem,
    if(runs = 0 OR has(read_now, (toString(n.rail), toString(n.network), n.node))
        OR has(read_now, (toString(n.rail), toString(n.network), '')), NULL, u.ends.2) AS no_longer_read_since
FROM newest AS n
LEFT JOIN sums AS u ON u.rail = n.rail AND u.network = n.network AND u.node = n.node AND u.asset = n.asset
LEFT JOIN moved AS m ON m.rail = n.rail AND m.network = n.network AND m.node = n.node AND m.asset = n.asset
COMMENT 'What the chain says: per rail, network and asset the opening balance, what settlements moved, and the balance that is there.';

-- The scores as people read them: with names, by rank, and with what moved. Suspended and revoked
-- identities have no rank, and neither has one that claimed an external id after such an identity had:
-- a fresh name is no fresh start. Claims are ordered by when they came in here, which no producer can
-- choose; what more than linked_most identities claim says little (the wallet of an exchange).
CREATE OR REPLACE VIEW masques_marts.reputation_ranking
(
    rank UInt64 COMMENT '1 for the largest score_lower',
    identity_id UUID COMMENT 'whose score',
    display_name String COMMENT 'name to show; empty when none was given',
    identity_type LowCardinality(String) COMMENT 'agent, user or service',
    overall_score Float64 COMMENT 'all scores: 0 to 1, 0.5 without evidence',
    score_lower Float64 COMMENT 'rank by this: overall_score less 1.645 standard deviations',
    confidence Float64 COMMENT '0 to 1; 0 without evidence, falls as evidence ages',
    change_7d Float64 COMMENT 'overall_score less that of seven days before',
    change_30d Float64 COMMENT 'overall_score less that of thirty days before',
    total_events UInt64 COMMENT 'events in the window',
    excluded_events UInt64 COMMENT 'events that count zero',
    computed_at DateTime64(9, 'UTC') COMMENT 'the moment that the scores are of'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    known AS
    (
        SELECT
            i.identity_id AS identity_id, i.display_name AS display_name,
            i.identity_type AS identity_type, i.status IN ('suspended', 'revoked') AS is_out
        FROM masques.identities AS i FINAL
    ),
    claims AS
    (
        SELECT
            v.identity_id AS identity_id, min((v.ingested_at, v.updated_at)) AS claimed_at,
            v.identity_id IN (SELECT k.identity_id FROM known AS k WHERE k.is_out) AS is_out,
            sipHash64(if(length(id.2) < 8, id.1, ''), lower(id.2)) AS id_hash
        FROM masques_ops.identity_versions AS v
        ARRAY JOIN CAST(v.external_ids, 'Array(Tuple(String, String))') AS id
        WHERE id.2 != ''
        GROUP BY identity_id, id_hash
    ),
    linked AS
    (
        SELECT arrayJoin(arrayFilter(c -> c.2 > minIf(l.claimed_at, l.is_out), groupArray((l.identity_id, l.claimed_at)))).1 AS identity_id
        FROM claims AS l
        GROUP BY l.id_hash
        HAVING max(l.is_out) = 1 AND count() <= assumeNotNull((SELECT m.numbers['linked_most']
            FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m))
    )
SELECT
    row_number() OVER (ORDER BY s.score_lower DESC, s.identity_id) AS rank,
    s.identity_id AS identity_id,
    i.display_name AS display_name,
    i.identity_type AS identity_type,
    s.overall_score AS overall_score,
    s.score_lower AS score_lower,
    s.confidence AS confidence,
    s.overall_score - s.score_7d_ago AS change_7d,
    s.overall_score - s.score_30d_ago AS change_30d,
    s.total_events AS total_events,
    s.excluded_events AS excluded_events,
    s.computed_at AS computed_at
FROM masques.reputation_scores AS s FINAL
LEFT ANY JOIN known AS i ON i.identity_id = s.identity_id
WHERE NOT i.is_out AND s.identity_id NOT IN (SELECT l.identity_id FROM linked AS l)
COMMENT 'The scores by rank, with the names of the identities. Without suspended and revoked identities and those that are linked to one.';

-- How each event moved the newest scores; filter by identity_id.
CREATE OR REPLACE VIEW masques_marts.reputation_contributions
(
    identity_id UUID COMMENT 'whose score',
    category String COMMENT 'task_quality, economic or identity_hygiene',
    event_type LowCardinality(String) COMMENT 'what happened, for instance task_completed',
    timestamp DateTime64(9, 'UTC') COMMENT 'when it happened',
    age_days Float64 COMMENT 'days from the event to the moment of the scores',
    event_id UUID COMMENT 'the reputation event',
    delta Float64 COMMENT 'score_delta, clamped to -1 to 1',
    reason String
        COMMENT 'why it counts: money, attested, free, unpriced; self_dealing, refunded, reorged, contradicted and not_theirs count zero',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    weight Float64 COMMENT 'what it weighs at its age, before standing and caps',
    standing Float64 COMMENT 'how much the word of the payer cluster counts, 0 to 1',
    counted_share Float64 COMMENT 'the share of the weight that counts after standing and caps, 0 to 1',
    counterparty_id UUID COMMENT 'the other side of the payment, else the one reported',
    cluster_id UUID COMMENT 'payer cluster of the counterparty',
    reference_type LowCardinality(String) COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String COMMENT 'id of what the event is about, by reference_type; empty for nothing',
    category_evidence Float64 COMMENT 'all evidence of the identity in the category that counts',
    effect Float64 COMMENT 'by how much the event moved overall_score'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    identity_id, category, event_type, timestamp, age_days, event_id, delta, reason, usd, weight,
    standing, counted_share, counterparty_id, cluster_id, reference_type, reference_id,
    category_evidence, effect
FROM masques_ops.reputation_contributions_at(
    as_of = (SELECT max(computed_at) FROM masques.reputation_scores),
    known_at = (SELECT max(computed_at) FROM masques.reputation_scores))
COMMENT 'How each event moved the latest scores. The effects of one identity add up to its score less the prior. Filter by identity_id.';

-- Which settlements pay which payment: the links, but one to the purchase of a linked chain counts for
-- the deposit of that chain.
CREATE OR REPLACE VIEW masques_ops.payment_settlements
(
    settlement_id UUID COMMENT 'the settlement',
    item_id UUID COMMENT 'the payment that its money is for',
    named_id UUID COMMENT 'the transfer that was named'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    k.settlement_id AS settlement_id,
    if(c.rail_transaction_id = toUUID('00000000-0000-0000-0000-000000000000'),
        k.transaction_id, c.rail_transaction_id) AS item_id,
    k.transaction_id AS named_id
FROM (SELECT settlement_id, transaction_id FROM masques_ops.settlement_links FINAL) AS k
LEFT JOIN (SELECT transaction_id, rail_transaction_id FROM masques_ops.payment_chains FINAL) AS c
    ON c.transaction_id = k.transaction_id
COMMENT 'Which settlements pay which payment. A link to the purchase of a linked chain counts for its deposit.';

-- What is said of each payment. Of a run that did not end nothing is said yet: the next one takes back
-- and completes what it wrote.
CREATE OR REPLACE VIEW masques_marts.payments_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    item_id, any(p.at) AS at, any(p.transaction_type) AS transaction_type, any(p.funding) AS funding,
    any(p.state) AS state, any(p.gate) AS gate, any(p.rail) AS rail, any(p.gate_risk) AS gate_risk,
    any(p.rail_risk) AS rail_risk, any(p.reason) AS reason, any(p.currency) AS currency,
    any(p.rail_currency) AS rail_currency, any(p.posted) AS posted, any(p.held) AS held,
    any(p.charged) AS charged, any(p.refunded) AS refunded, any(p.settled) AS settled,
    any(p.amount_basis) AS amount_basis, any(p.payer) AS payer, any(p.payee) AS payee,
    any(p.requests) AS requests, any(p.request_id) AS request_id, any(p.session_id) AS session_id,
    any(p.settlements) AS settlements, any(p.settlement_id) AS settlement_id, any(p.rail_name) AS rail_name,
    any(p.rail_network) AS rail_network,
    greatest(any(p.gate_due_at), any(p.rail_due_at)) AS due_at, max(p.known_from) AS known_from
FROM masques_ops.payments_log AS p
WHERE p.known_from <=
(
    SELECT max(began_at) FROM masques_ops.reconciliation_runs
    WHERE ended_at > toDateTime64(0, 6, 'UTC') AND ended_at <= {as_of:DateTime64(6, 'UTC')}
)
GROUP BY item_id, content
HAVING sum(p.sign) > 0
COMMENT 'What was said of each payment at a time. Parameters: as_of - the time. Columns: item_id .. known_from - as in masques_marts.payments.';

CREATE OR REPLACE VIEW masques_marts.payments
(
    item_id UUID COMMENT 'the transfer, or the hold of a two-phase one; else the settlement or the request that names none',
    at DateTime64(9, 'UTC') COMMENT 'ledger time of the transfer; without one, time of the request or settlement',
    transaction_type String COMMENT 'transfer code by the chart; empty when nothing is booked',
    funding String COMMENT 'rail_in, rail_out, balance or internal; empty when nothing is booked',
    state String COMMENT 'of the ledger: open, posted, voided or expired; empty when nothing is booked',
    gate String COMMENT 'verdict on gate and ledger: matched, expected, released, refunded, a class of break, or empty when none is due',
    rail String COMMENT 'verdict on ledger and rail: matched, expected, released, refunded, a class of break, or empty when none is due',
    gate_risk Decimal(76, 18) COMMENT 'money at risk by the break at the gate, in currency; 0 without one',
    rail_risk Decimal(76, 18) COMMENT 'money at risk by the break on the rail, in currency, or in rail_currency when nothing is booked; 0 without one',
    reason String COMMENT 'what the rail says of a settlement that failed or is unknown; empty otherwise',
    currency String COMMENT 'asset of the ledger by the chart; without a transfer what the gate charged in',
    rail_currency String COMMENT 'asset that was paid on the rail; empty without a settlement',
    posted Decimal(76, 18) COMMENT 'amount posted',
    held Decimal(76, 18) COMMENT 'amount of the hold; 0 for a single-phase transfer',
    charged Decimal(76, 18) COMMENT 'sum of what requests and session say was charged',
    refunded Decimal(76, 18) COMMENT 'sum of the posted transfers that refund it, in the same currency',
    settled Decimal(76, 18) COMMENT 'sum of its confirmed settlements; of one for several transfers its share',
    amount_basis String COMMENT 'stated, partly or none: how many of its requests and sessions say what they charged',
    payer UUID COMMENT 'account that pays; zero when nothing is booked',
    payee UUID COMMENT 'account that is paid; zero when nothing is booked',
    requests UInt32 COMMENT 'requests that name it',
    request_id UUID COMMENT 'one of them; zero for none',
    session_id UUID COMMENT 'the session that names it; zero for none',
    settlements UInt32 COMMENT 'settlements that are linked to it',
    settlement_id UUID COMMENT 'one of them; zero for none',
    rail_name String COMMENT 'rail of its settlements; empty for none',
    rail_network String COMMENT 'network of its settlements, CAIP-2 id; empty for none, and where it was compared before networks were kept',
    due_at DateTime64(9, 'UTC') COMMENT 'when an expected leg becomes a break, once the other side was read up to then; 1970 for none',
    known_from DateTime64(6, 'UTC') COMMENT 'since when that is said'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    item_id, at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason, currency,
    rail_currency, posted, held, charged, refunded, settled, amount_basis, payer, payee, requests,
    request_id, session_id, settlements, settlement_id, rail_name, rail_network, due_at,
    known_from
FROM masques_marts.payments_at(as_of = now64(6, 'UTC'))
COMMENT 'What is said of each payment: the gate''s word, the ledger''s and the rail''s, compared. One row per payment.';

-- What each class of break means: how bad, whose it is, how long it may stay open, and what to do.
CREATE OR REPLACE VIEW masques_marts.break_classes
(
    class String COMMENT 'class of a break',
    severity String COMMENT 'critical, major or minor: decides the alert',
    owner String COMMENT 'who looks after it',
    hours UInt32 COMMENT 'within how many hours after it was found it should be closed',
    what_to_do String COMMENT 'the next step, in words'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT c.1 AS class, c.2 AS severity, c.3 AS owner, toUInt32(c.4) AS hours, c.5 AS what_to_do
FROM
(
    SELECT arrayJoin([
        ('settlement_failed', 'critical', 'payments', 24, 'a deposit: reverse the booking or collect it again; a payout: send it again'),
        ('unsettled_transfer', 'critical', 'payments', 24, 'look for the payment of the payer, or for the payout in its queue'),
        ('unbooked_settlement', 'critical', 'payments', 24, 'credit the money to its payer, or pay it back'),
        ('paid_twice', 'critical', 'payments', 24, 'give the second payment back'),
        ('currency_mismatch', 'major', 'payments', 72, 'correct the link, or the rail assets of the chart'),
        ('amount_mismatch', 'major', 'payments', 72, 'find which is wrong: price, booking or payment'),
        ('party_mismatch', 'major', 'security', 72, 'somebody else''s transfer was named: find out whether that is a fault or fraud'),
        ('unexplained_charge', 'major', 'gate', 72, 'refund it, or find the file of the gate that is missing'),
        ('paid_not_served', 'major', 'gate', 72, 'refund it or serve it'),
        ('served_not_paid', 'minor', 'gate', 336, 'bill it again or write it off'),
        ('unbooked_request', 'minor', 'gate', 336, 'book it: the gate''s write to the ledger was lost'),
        ('stale_hold', 'minor', 'gate', 336, 'void the hold: the money of an agent is frozen'),
        ('outcome_unknown', 'minor', 'payments', 336, 'ask the facilitator; only an observation resolves it')
    ]) AS c
)
COMMENT 'What each class of break means: severity, owner, hours until it should be closed, and what to do.';

-- Words of a payment's leg that ask nobody for anything. Every other word is a break, one that is no class
-- yet too.
CREATE OR REPLACE VIEW masques_ops.sound_verdicts
(
    verdict String COMMENT 'word of a leg in masques_ops.payments_log; empty when no comparison is due'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT arrayJoin(['', 'matched', 'expected', 'released', 'refunded']) AS verdict
COMMENT 'Words of a payment''s leg that are no break.';

-- What was said of payments that ever were a break, once per payment, run and content. Of a run that did not
-- end nothing is said yet, and what it copied is copied again.
CREATE OR REPLACE VIEW masques_ops.breaks_said_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    (
        SELECT (maxIf(began_at, is_full = 1), maxIf(began_at, ended_at <= {as_of:DateTime64(6, 'UTC')}))
        FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS run
SELECT
    item_id, known_from, content, any(b.net) AS net, any(b.at) AS at, any(b.gate) AS gate, any(b.rail) AS rail,
    any(b.gate_risk) AS gate_risk, any(b.rail_risk) AS rail_risk, any(b.reason) AS reason,
    any(b.currency) AS currency, any(b.rail_currency) AS rail_currency, any(b.payer) AS payer,
    any(b.payee) AS payee, any(b.request_id) AS request_id, any(b.session_id) AS session_id,
    any(b.settlement_id) AS settlement_id, any(b.rail_name) AS rail_name, any(b.rail_network) AS rail_network
FROM masques_ops.breaks_log AS b
WHERE b.generation = run.1 AND b.known_from <= run.2 AND b.run IN
(
    SELECT began_at FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
)
GROUP BY item_id, known_from, content
COMMENT 'What was said, by run, of each payment that ever was a break, as known at a time. Parameters: as_of - the time. Columns: item_id .. rail_network - as in masques_ops.breaks_log.';

-- Each time that a leg of a payment was a break. A word that changes from one class to another is one
-- break still; matched in between makes two.
CREATE OR REPLACE VIEW masques_marts.break_history_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    words AS
    (
        -- What a run said is what it wrote with sign 1. One that only took back said that there is nothing,
        -- if nothing was left; else it took back what was written twice.
        SELECT
            item_id, known_from, anyIf(gate, net > 0) AS gate_word, anyIf(rail, net > 0) AS rail_word,
            countIf(net > 0) AS said, sum(sum(net)) OVER (PARTITION BY item_id ORDER BY known_from) AS left
        FROM masques_ops.breaks_said_at(as_of = {as_of:DateTime64(6, 'UTC')})
        GROUP BY item_id, known_from
    ),
    legs AS
    (
        SELECT item_id, word.1 AS leg,
            arraySort(groupArray((
                known_from, word.2, word.2 NOT IN (SELECT verdict FROM masques_ops.sound_verdicts)))) AS steps
        FROM words
        ARRAY JOIN [('gate', gate_word), ('rail', rail_word)] AS word
        WHERE said > 0 OR left = 0
        GROUP BY item_id, leg
    ),
    episodes AS
    (
        SELECT item_id, leg,
            arraySplit((step, number) -> number > 1 AND step.3 != steps[number - 1].3,
                steps, arrayEnumerate(steps)) AS parts,
            arrayJoin(arrayEnumerate(parts)) AS number
        FROM legs
    )
SELECT
    item_id,
    leg,
    parts[number][-1].2 AS class,
    parts[number][1].1 AS opened_at,
    if(number < length(parts), parts[number + 1][1].1, NULL) AS closed_at,
    if(number < length(parts), parts[number + 1][1].2, '') AS closed_as,
    arrayMap(step -> step.2, parts[number]) AS classes,
    toUInt32(arrayCount(part -> part[1].3, arraySlice(parts, 1, number))) AS times
FROM episodes
WHERE parts[number][1].3
COMMENT 'Each time that a leg of a payment was a break, as known at a time. Parameters: as_of - the time. Columns: item_id .. times - as in masques_marts.break_history.';

CREATE OR REPLACE VIEW masques_marts.break_history
(
    item_id UUID COMMENT 'the payment: item_id of masques_marts.payments',
    leg String COMMENT 'gate or rail',
    class String COMMENT 'class of the break: the last one that it had',
    opened_at DateTime64(6, 'UTC') COMMENT 'begin of the run that found it',
    closed_at Nullable(DateTime64(6, 'UTC')) COMMENT 'begin of the run that found it gone; NULL while it is open',
    closed_as String COMMENT 'what is said of the leg since then; empty while it is open, or when none is due',
    classes Array(String) COMMENT 'what was said of it, one after the other',
    times UInt32 COMMENT '1 for the first break of the leg; more for one that was reopened'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT item_id, leg, class, opened_at, closed_at, closed_as, classes, times
FROM masques_marts.break_history_at(as_of = now64(6, 'UTC'))
COMMENT 'Each time that a leg of a payment was a break: one row from its finding to its end.';

-- The legs that are a break: what runs said that was not taken back.
CREATE OR REPLACE VIEW masques_ops.broken_legs_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    p.item_id AS item_id, word.1 AS leg, word.2 AS class, word.3 AS at_risk, p.at AS at,
    p.reason AS reason, p.payer AS payer, p.payee AS payee, p.request_id AS request_id,
    p.session_id AS session_id, p.settlement_id AS settlement_id, p.rail_name AS rail_name, p.rail_network AS rail_network,
    if(word.2 = 'unbooked_settlement' OR p.currency = '', p.rail_currency, p.currency) AS currency
FROM
(
    SELECT
        item_id, any(s.at) AS at, any(s.gate) AS gate, any(s.rail) AS rail, any(s.gate_risk) AS gate_risk,
        any(s.rail_risk) AS rail_risk, any(s.reason) AS reason, any(s.currency) AS currency,
        any(s.rail_currency) AS rail_currency, any(s.payer) AS payer, any(s.payee) AS payee,
        any(s.request_id) AS request_id, any(s.session_id) AS session_id,
        any(s.settlement_id) AS settlement_id, any(s.rail_name) AS rail_name,
        any(s.rail_network) AS rail_network
    FROM masques_ops.breaks_said_at(as_of = {as_of:DateTime64(6, 'UTC')}) AS s
    GROUP BY item_id, content
    HAVING sum(s.net) > 0
) AS p
ARRAY JOIN [('gate', p.gate, p.gate_risk), ('rail', p.rail, p.rail_risk)] AS word
WHERE word.2 NOT IN (SELECT verdict FROM masques_ops.sound_verdicts)
COMMENT 'Legs of payments that were a break at a time. Parameters: as_of - the time. Columns: item_id .. currency - as in masques_marts.breaks.';

-- The breaks that are open, with what people said of them. A note holds for the break that it was written of:
-- not for another class, for more money, or for one that was found again after it was closed.
CREATE OR REPLACE VIEW masques_ops.breaks_open_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    notes AS
    (
        SELECT item_id, leg,
            argMax((toString(n.state), toString(n.class), n.at_risk, n.note, n.said_by, n.said_at), n.said_at) AS said
        FROM masques_ops.break_notes AS n
        WHERE n.said_at <= {as_of:DateTime64(6, 'UTC')}
        GROUP BY item_id, leg
    )
SELECT
    l.item_id AS item_id, l.leg AS leg, l.class AS class,
    if(n.said.6 >= o.opened_at AND n.said.2 = l.class AND n.said.3 >= l.at_risk, n.said.1, 'open') AS state,
    if(state = 'open', '', n.said.4) AS note,
    if(state = 'open', '', n.said.5) AS said_by,
    l.at AS at, o.opened_at AS opened_at, o.times AS times, l.at_risk AS at_risk, l.currency AS currency,
    l.reason AS reason, l.payer AS payer, l.payee AS payee, l.request_id AS request_id,
    l.session_id AS session_id, l.settlement_id AS settlement_id, l.rail_name AS rail_name, l.rail_network AS rail_network
FROM masques_ops.broken_legs_at(as_of = {as_of:DateTime64(6, 'UTC')}) AS l
LEFT JOIN
(
    SELECT item_id, leg, opened_at, times
    FROM masques_marts.break_history_at(as_of = {as_of:DateTime64(6, 'UTC')})
    WHERE closed_at IS NULL
) AS o ON o.item_id = l.item_id AND o.leg = l.leg
LEFT JOIN notes AS n ON n.item_id = l.item_id AND n.leg = l.leg
COMMENT 'Breaks that were open at a time, with the notes that hold for them. Parameters: as_of - the time. Columns: item_id .. rail_network - as in masques_marts.breaks.';

-- What an asset is worth in USD: by the chart an asset of a rail is the ledger's own, then by the newest rate.
CREATE OR REPLACE VIEW masques_ops.usd_rates_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    rates AS
    (
        SELECT currency, argMax(r.usd, (r.quoted_at, r.ingested_at)) AS usd
        FROM masques_ops.exchange_rates AS r
        WHERE r.quoted_at <= {as_of:DateTime64(6, 'UTC')} AND r.ingested_at <= {as_of:DateTime64(6, 'UTC')}
        GROUP BY currency
    ),
    assets AS
    (
        SELECT name AS asset, argMax(a.ledger_asset, a.is_own) AS ledger_asset
        FROM
        (
            SELECT arrayJoin(rail_assets) AS name, asset AS ledger_asset, 0 AS is_own FROM masques_ops.chart_ledgers
            UNION ALL
            SELECT asset, asset, 1 FROM masques_ops.chart_ledgers
            UNION ALL
            SELECT toString(currency), toString(currency), -1 FROM rates
            UNION ALL
            SELECT 'USD', 'USD', -1
        ) AS a
        GROUP BY name
    )
SELECT
    s.asset AS asset,
    multiIf(s.ledger_asset = 'USD' OR s.asset = 'USD', CAST(1, 'Nullable(Decimal(76, 18))'), r.currency = '', NULL,
        CAST(r.usd, 'Nullable(Decimal(76, 18))')) AS usd
FROM assets AS s
LEFT JOIN rates AS r ON r.currency = s.ledger_asset
COMMENT 'USD per whole unit of each asset, as known at a time. Parameters: as_of - the time. Columns: asset - the asset; usd - its rate, NULL when there is none.';

CREATE OR REPLACE VIEW masques_marts.breaks_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    {as_of:DateTime64(6, 'UTC')} AS as_of,
    (
        SELECT argMax(read_to['ledger'], began_at) FROM masques_ops.reconciliation_runs
        WHERE ended_at > toDateTime64(0, 6, 'UTC') AND ended_at <= as_of
    ) AS read_to,
    -- What may belong together: money that nothing is booked for and a booking that lacks its money, or
    -- a charge without request and a request without charge; of one amount, within ten minutes.
    timed AS
    (
        SELECT item_id, leg, class, at, at_risk, intDiv(toUnixTimestamp(at), 600) AS slot
        FROM masques_ops.broken_legs_at(as_of = {as_of:DateTime64(6, 'UTC')})
        WHERE class IN ('unbooked_settlement', 'unsettled_transfer', 'unexplained_charge', 'unbooked_request')
            AND at_risk > toDecimal256(0, 18)
    ),
    pairs AS
    (
        SELECT x.item_id AS item_id, x.leg AS leg, min((abs(dateDiff('second', x.at, y.at)), y.item_id)).2 AS other
        FROM (SELECT item_id, leg, class, at, at_risk, slot + arrayJoin([-1, 0, 1]) AS near FROM timed) AS x
        INNER JOIN timed AS y ON y.leg = x.leg AND y.at_risk = x.at_risk AND y.slot = x.near
        WHERE x.class != y.class AND abs(dateDiff('second', x.at, y.at)) <= 600
        GROUP BY item_id, leg
    )
SELECT
    l.item_id AS item_id, l.leg AS leg, l.class AS class, c.severity AS severity, c.owner AS owner,
    l.state AS state, l.note AS note, l.said_by AS said_by, l.at AS at, l.opened_at AS opened_at,
    l.times AS times, l.opened_at + toIntervalHour(c.hours) AS deadline,
    toUInt64(greatest(ifNull(dateDiff('second', l.at, read_to), 0), 0)) AS age_s,
    l.at_risk AS at_risk, l.currency AS currency,
    multiplyDecimal(l.at_risk, r.usd, 18) AS at_risk_usd,
    l.reason AS reason, c.what_to_do AS what_to_do,
    if(x.other = toUUID('00000000-0000-0000-0000-000000000000'), '',
        concat('perhaps with ', toString(x.other), ': same amount within ten minutes')) AS suggestion,
    l.payer AS payer, l.payee AS payee, l.request_id AS request_id, l.session_id AS session_id,
    l.settlement_id AS settlement_id, l.rail_name AS rail_name, l.rail_network AS rail_network
FROM masques_ops.breaks_open_at(as_of = {as_of:DateTime64(6, 'UTC')}) AS l
LEFT JOIN masques_marts.break_classes AS c ON c.class = l.class
LEFT JOIN (SELECT asset, usd FROM masques_ops.usd_rates_at(as_of = {as_of:DateTime64(6, 'UTC')})) AS r
    ON r.asset = l.currency
LEFT JOIN pairs AS x ON x.item_id = l.item_id AND x.leg = l.leg
COMMENT 'Breaks that were open at a time. Parameters: as_of - the time. Columns: item_id .. rail_network - as in masques_marts.breaks.';

CREATE OR REPLACE VIEW masques_marts.breaks
(
    item_id UUID COMMENT 'the payment: item_id of masques_marts.payments',
    leg String COMMENT 'gate or rail',
    class String COMMENT 'class of the break: see docs/reconciliation.md',
    severity String COMMENT 'critical, major or minor',
    owner String COMMENT 'who looks after it',
    state String COMMENT 'open, acknowledged, explained or written_off, as people said',
    note String COMMENT 'what they said; empty while it is open',
    said_by String COMMENT 'who said it; empty while it is open',
    at DateTime64(9, 'UTC') COMMENT 'time of the payment',
    opened_at DateTime64(6, 'UTC') COMMENT 'begin of the run that found it',
    times UInt32 COMMENT '1 for the first break of the leg; more for one that was reopened',
    deadline DateTime64(6, 'UTC') COMMENT 'when it should be closed',
    age_s UInt64 COMMENT 'seconds from the payment to where the ledger was read',
    at_risk Decimal(76, 18) COMMENT 'money at risk, in whole units of the currency',
    currency String COMMENT 'asset of at_risk',
    at_risk_usd Nullable(Decimal(76, 18)) COMMENT 'money at risk in USD by the newest exchange rate; NULL when there is none',
    reason String COMMENT 'what the rail says of a settlement that failed or is unknown; empty otherwise',
    what_to_do String COMMENT 'the next step',
    suggestion String COMMENT 'a guess what it belongs to, by amount and time; empty for none. It is never acted upon',
    payer UUID COMMENT 'account that pays; zero when nothing is booked',
    payee UUID COMMENT 'account that is paid; zero when nothing is booked',
    request_id UUID COMMENT 'a request of the payment; zero for none',
    session_id UUID COMMENT 'the session of the payment; zero for none',
    settlement_id UUID COMMENT 'a settlement of the payment; zero for none',
    rail_name String COMMENT 'rail of its settlements; empty for none',
    rail_network String COMMENT 'network of its settlements, CAIP-2 id; empty for none, and where it was compared before networks were kept'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT item_id, leg, class, severity, owner, state, note, said_by, at, opened_at, times, deadline, age_s,
    at_risk, currency, at_risk_usd, reason, what_to_do, suggestion, payer, payee, request_id, session_id,
    settlement_id, rail_name, rail_network
FROM masques_marts.breaks_at(as_of = now64(6, 'UTC'))
COMMENT 'The breaks that are open: payments of which gate, ledger and rail say different things. One row per payment and leg.';

-- Is the money there: what the ledger owes, what its treasury says, what the rails settled, what is there.
CREATE OR REPLACE VIEW masques_ops.position_now
(
    asset String COMMENT 'asset of the ledger; assets of rails that are booked 1:1 in it are part of it',
    owed Decimal(76, 18) COMMENT 'what the platform owes: sum of the balances of all accounts that are no rail side',
    owed_by_type Map(String, Decimal(76, 18)) COMMENT 'the same by account type: prepaid, author, escrow and so on',
    treasury Decimal(76, 18) COMMENT 'what the ledger says is on the rails: balances of the rail-side accounts',
    settled Decimal(76, 18) COMMENT 'what final settlements brought, less what they took',
    vouchers Decimal(76, 18) COMMENT 'accepted and not on the rail yet: vouchers to claim, and payments off the chain',
    vouchers_until DateTime('UTC') COMMENT 'until when the first of them has to be claimed; 1970 when none says',
    on_rails Decimal(76, 18) COMMENT 'what the nodes say is there, at the blocks of sides; without networks that are no longer read',
    opening Decimal(76, 18) COMMENT 'what was there when the rails were first read',
    unbooked Decimal(76, 18) COMMENT 'settled less treasury: what moved and is not booked, or the reverse',
    in_time Decimal(76, 18) COMMENT 'of unbooked, what payments explain that are expected to be settled or booked yet',
    broken Decimal(76, 18) COMMENT 'of unbooked, what breaks explain',
    unexplained Decimal(76, 18) COMMENT 'the rest of unbooked',
    moved_unseen Decimal(76, 18) COMMENT 'on_rails less what settlements and fees lead to: what moved without a settlement',
    uncovered Decimal(76, 18) COMMENT 'what is owed, but for money on its way, less on_rails, when that is more than is there; 0 otherwise',
    unread UInt64 COMMENT 'balances of rails that are not known; 1 when there is none at all',
    sides Array(String) COMMENT 'rail, network, asset and block of each balance, its state and difference'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    toDecimal256(0, 18) AS zero,
    own AS (SELECT ledger, any(asset) AS name FROM masques_ops.chart_ledgers GROUP BY ledger),
    assets AS
    (
        SELECT other, argMin(ledger_asset, other != ledger_asset) AS ledger_asset
        FROM
        (
            SELECT arrayJoin(arrayDistinct(arrayPushBack(rail_assets, asset))) AS other, asset AS ledger_asset
            FROM masques_ops.chart_ledgers
        )
        GROUP BY other
    ),
    books AS
    (
        SELECT
            o.name AS name,
            sumIf(a.credits_posted - a.debits_posted, NOT c.is_rail_side) AS owed,
            sumMapIf(map(toString(a.account_type), a.credits_posted - a.debits_posted), NOT c.is_rail_side)
                AS owed_by_type,
            sumIf(a.debits_posted - a.credits_posted, c.is_rail_side) AS treasury
        FROM (SELECT ledger, code, account_type, credits_posted, debits_posted FROM masques.accounts FINAL) AS a
        INNER JOIN own AS o ON o.ledger = a.ledger
        LEFT JOIN masques_ops.chart_account_codes AS c ON c.code = a.code
        GROUP BY name
    ),
    (SELECT max(counted_to) FROM masques_ops.settled_sums) AS counted_to,
    -- What was counted, and of settlements with rows since then what they are now, less what they were.
    moved AS
    (
        SELECT toString(currency) AS other, settled FROM masques_ops.settled_sums FINAL
        WHERE counted_to = (SELECT max(counted_to) FROM masques_ops.settled_sums)
        UNION ALL
        SELECT n.side.1, if(n.side.2 = 'confirmed', if(n.side.4 = 'in', n.side.3, -n.side.3) * n.side.5, zero)
        FROM
        (
            SELECT
                e.settlement_id AS settlement_id,
                argMax((toString(e.currency), toString(e.status), e.amount, toString(e.direction), 1),
                    (e.revision, e.recorded_at)) AS new,
                argMaxIf((toString(e.currency), toString(e.status), e.amount, toString(e.direction), -1),
                    (e.revision, e.recorded_at), e.ingested_at < counted_to) AS old,
                arrayJoin([new, old]) AS side
            FROM masques.settlements AS e
            WHERE e.settlement_id IN
                (SELECT settlement_id FROM masques.settlements WHERE ingested_at >= counted_to)
            GROUP BY e.settlement_id
        ) AS n
    ),
    vouchers AS
    (
        SELECT n.v.1 AS other, n.v.3 AS amount, n.v.5 AS until_s
        FROM
        (
            SELECT e.settlement_id AS settlement_id, argMax(
                (toString(e.currency), toString(e.status), e.amount, toString(e.direction),
                    toUInt32OrZero(e.attributes['deadline_s'])), (e.revision, e.recorded_at)) AS v
            FROM masques.settlements AS e
            WHERE e.settlement_id IN
                (SELECT settlement_id FROM masques.settlements WHERE status IN ('off_chain', 'claimable'))
            GROUP BY e.settlement_id
        ) AS n
        WHERE n.v.2 IN ('off_chain', 'claimable') AND n.v.4 = 'in'
    ),
    rails AS
    (
        SELECT
            s.ledger_asset AS name, sum(m.settled) AS settled, sum(m.amount) AS vouchers,
            minIf(m.until_s, m.until_s > 0) AS until_s
        FROM
        (
            SELECT other, settled, zero AS amount, toUInt32(0) AS until_s FROM moved
            UNION ALL
            SELECT other, zero, amount, until_s FROM vouchers
        ) AS m
        INNER JOIN assets AS s ON s.other = m.other
        GROUP BY name
    ),
    chain AS
    (
        SELECT
            s.ledger_asset AS name,
            -- What nobody looks at any more may be gone: it is shown, and not counted as there.
            sumIf(b.balance, b.no_longer_read_since IS NULL) AS on_rails,
            sumIf(b.opening, b.no_longer_read_since IS NULL) AS opening,
            sumIf(b.difference, b.state IN ('agrees', 'differs') AND b.no_longer_read_since IS NULL) AS difference,
            countIf((b.state NOT IN ('agrees', 'differs') OR b.problem != '') AND b.no_longer_read_since IS NULL)
                + (countIf(b.no_longer_read_since IS NULL) = 0) AS unread,
            arraySort(groupArray(concat(b.rail, ' ', b.network, ' ', b.asset, b.node, ' block ', toString(b.block), ': ',
                if(b.no_longer_read_since IS NULL, concat(b.state, ' ', toString(b.difference)),
                    concat('no longer read since ', formatDateTime(b.no_longer_read_since, '%F %T'), ', had ',
                        toString(b.balance))))))
                AS sides
        FROM masques_marts.chain_balances AS b
        INNER JOIN assets AS s ON s.other = toString(b.currency)
        GROUP BY name
    ),
    -- The run that writes the position down has not ended yet.
    (SELECT max(began_at) FROM masques_ops.reconciliation_runs) AS newest,
    (
        SELECT maxIf(began_at, is_full = 1) FROM masques_ops.reconciliation_runs
        WHERE ended_at > toDateTime64(0, 6, 'UTC') OR began_at = newest
    ) AS newest_generation,
    -- What payments that do not match yet, or not at all, add to settlements and to the treasury.
    odd AS
    (
        SELECT
            p.settlement_id AS settlement_id, p.currency AS currency, p.rail_currency AS rail_currency,
            p.is_in_time AS is_in_time,
            sum(multiIf(p.funding = 'rail_in', p.posted, p.funding = 'rail_out', -p.posted, zero) * p.net) AS booked,
            sum(p.settled * p.net) AS paid
        FROM
        (
            SELECT
                settlement_id, toString(currency) AS currency, toString(rail_currency) AS rail_currency,
                1 AS is_in_time, toString(funding) AS funding, posted, settled, toInt64(sign) AS net
            FROM masques_ops.payments_log
            WHERE rail IN ('expected', 'refunded')
            UNION ALL
            SELECT
                any(b.settlement_id), toString(any(b.currency)), toString(any(b.rail_currency)), 0,
                toString(any(b.funding)), any(b.posted), any(b.settled), any(b.net)
            FROM masques_ops.breaks_log AS b
            WHERE b.generation = newest_generation
                AND b.rail NOT IN (SELECT verdict FROM masques_ops.sound_verdicts)
                AND b.run IN
                (
                    SELECT began_at FROM masques_ops.reconciliation_runs
                    WHERE ended_at > toDateTime64(0, 6, 'UTC') OR began_at = newest
                )
            GROUP BY b.item_id, b.known_from, b.content
        ) AS p
        GROUP BY settlement_id, is_in_time, currency, rail_currency
        HAVING booked != zero OR paid != zero
    ),
    gaps AS
    (
        SELECT
            s.ledger_asset AS name,
            sumIf(part.2, o.is_in_time) AS in_time,
            sumIf(part.2, NOT o.is_in_time) AS broken
        FROM odd AS o
        LEFT ANY JOIN
        (
            SELECT settlement_id, direction FROM masques.settlements
            WHERE settlement_id IN (SELECT settlement_id FROM odd)
        ) AS e ON e.settlement_id = o.settlement_id
        ARRAY JOIN [
            (o.currency, -o.booked), (o.rail_currency, if(e.direction = 'out', -o.paid, o.paid))] AS part
        INNER JOIN assets AS s ON s.other = part.1
        GROUP BY name
    )
SELECT
    k.name AS asset, k.owed AS owed, k.owed_by_type AS owed_by_type, k.treasury AS treasury,
    r.settled AS settled, r.vouchers AS vouchers, toDateTime(r.until_s, 'UTC') AS vouchers_until,
    c.on_rails AS on_rails, c.opening AS opening, r.settled - k.treasury AS unbooked,
    g.in_time AS in_time, g.broken AS broken, unbooked - g.in_time - g.broken AS unexplained,
    c.difference AS moved_unseen,
    if(empty(c.sides), zero, greatest(k.owed + g.in_time - c.on_rails, zero)) AS uncovered,
    if(empty(c.sides), 1, c.unread) AS unread,
    c.sides AS sides
FROM books AS k
LEFT JOIN rails AS r ON r.name = k.name
LEFT JOIN chain AS c ON c.name = k.name
LEFT JOIN gaps AS g ON g.name = k.name
COMMENT 'What is owed and what is there, per asset, by all that is known now. The reconciliation writes it down: read masques_marts.position.';

CREATE OR REPLACE VIEW masques_marts.position_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    asset, computed_at, owed, owed_by_type, treasury, settled, vouchers, vouchers_until, on_rails, opening, unbooked, in_time,
    broken, unexplained, moved_unseen, uncovered, state, sides
FROM masques_ops.positions
WHERE computed_at <=
(
    SELECT max(began_at) FROM masques_ops.reconciliation_runs
    WHERE ended_at > toDateTime64(0, 6, 'UTC') AND ended_at <= {as_of:DateTime64(6, 'UTC')}
)
ORDER BY computed_at DESC
LIMIT 1 BY asset
COMMENT 'What was owed and there at a time, per asset. Parameters: as_of - the time. Columns: asset .. sides - as in masques_marts.position.';

CREATE OR REPLACE VIEW masques_marts.position
(
    asset LowCardinality(String) COMMENT 'asset of the ledger; assets of rails that are booked 1:1 in it are part of it',
    computed_at DateTime64(6, 'UTC') COMMENT 'begin of the run that found it so: nothing of it changed since',
    owed Decimal(76, 18) COMMENT 'what the platform owes: sum of the balances of all accounts that are no rail side',
    owed_by_type Map(String, Decimal(76, 18)) COMMENT 'the same by account type: prepaid, author, escrow and so on',
    treasury Decimal(76, 18) COMMENT 'what the ledger says is on the rails: balances of the rail-side accounts',
    settled Decimal(76, 18) COMMENT 'what final settlements brought, less what they took',
    vouchers Decimal(76, 18) COMMENT 'accepted and not on the rail yet: vouchers to claim, and payments off the chain',
    vouchers_until DateTime('UTC') COMMENT 'until when the first of them has to be claimed; 1970 when none says',
    on_rails Decimal(76, 18) COMMENT 'what the nodes say is there, at the blocks of sides',
    opening Decimal(76, 18) COMMENT 'what was there when the rails were first read',
    unbooked Decimal(76, 18) COMMENT 'settled less treasury: what moved and is not booked, or the reverse',
    in_time Decimal(76, 18) COMMENT 'of unbooked, what payments explain that are expected to be settled or booked yet',
    broken Decimal(76, 18) COMMENT 'of unbooked, what breaks explain',
    unexplained Decimal(76, 18) COMMENT 'the rest of unbooked',
    moved_unseen Decimal(76, 18) COMMENT 'on_rails less what settlements and fees lead to: what moved without a settlement',
    uncovered Decimal(76, 18) COMMENT 'what is owed, but for money on its way, less on_rails, when that is more than is there; 0 otherwise',
    state LowCardinality(String) COMMENT 'proved; broken: breaks explain what differs; differs: money moved unseen, more is owed than is there, or something is unexplained in two runs; unread: a balance of a rail is not known',
    sides Array(String) COMMENT 'rail, network, asset and block of each balance, its state and difference'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
SELECT
    asset, computed_at, owed, owed_by_type, treasury, settled, vouchers, vouchers_until, on_rails, opening, unbooked, in_time,
    broken, unexplained, moved_unseen, uncovered, state, sides
FROM masques_marts.position_at(as_of = now64(6, 'UTC'))
COMMENT 'Is the money there: per asset what is owed, what the treasury''s books say, what was settled and what the nodes say is there.';
