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
    rail LowCardinality(String) COMMENT 'lightning, solana or base',
    protocol LowCardinality(String) COMMENT 'l402 or x402',
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
    rail LowCardinality(String) COMMENT 'lightning, solana or base',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
    currency LowCardinality(String) COMMENT 'asset that was paid: USD, BTC, SOL and so on',
    direction LowCardinality(String) COMMENT 'in or out',
    status LowCardinality(String) COMMENT 'pending, confirmed, failed, unknown, superseded, off_chain, claimable or not_followed: see docs/rails.md',
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
GROUP BY rail, network, currency, direction, status
COMMENT 'Money and number of settlements by rail, currency, direction and status.';

-- What the chain says: per rail and asset the opening balance, what the settlements moved since, and what
-- is there. Each address counts from its first reading to its last one, so that one that is added brings
-- what it has, and one that is dropped takes it away: the check goes on for the others. Other lines of a
-- node (Lightning) are another address. On a rail with blocks a settlement counts by its block, else by its
-- time; it is of the address of ours that it names. The fees of what left are ours; a flow is what moved
-- beside settlements (Lightning's forwards, say). A reading that the node could not give (it no longer has
-- the state) is inconclusive; a difference that an earlier one shows stays.
CREATE OR REPLACE VIEW masques_marts.chain_balances
(
    rail LowCardinality(String) COMMENT 'lightning, solana or base',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
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
    problem String COMMENT 'why the newest reading is not known; empty when it is'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS
WITH
    parts AS
    (
        SELECT
            rail, network, asset, block, read_at, address,
            any(b.currency) AS currency,
            sumIf(b.balance, b.is_flow = 0) AS held,
            sumIf(b.balance, b.is_flow = 1) AS flowed,
            cityHash64(arraySort(groupArray(toString(b.line)))) AS lines,
            max(b.problem) AS why
        FROM masques_ops.rail_balances AS b FINAL
        GROUP BY rail, network, asset, block, read_at, address
    ),
    newest AS
    (
        SELECT rail, network, asset, argMax(reading_why, (block, read_at)) AS newest_why
        FROM
        (
            SELECT rail, network, asset, block, read_at, max(why) AS reading_why
            FROM parts
            GROUP BY rail, network, asset, block, read_at
        )
        GROUP BY rail, network, asset
    ),
    known AS
    (
        SELECT
            rail, network, asset, block, read_at, address, currency, held, flowed, lines, why,
            dense_rank() OVER (PARTITION BY rail, network, asset ORDER BY block, read_at) AS reading
        FROM
        (
            SELECT
                rail, network, asset, block, read_at, address, currency, held, flowed, lines, why,
                max(why) OVER (PARTITION BY rail, network, asset, block, read_at) AS reading_why
            FROM parts
        )
        WHERE reading_why = ''
    ),
    spans AS
    (
        SELECT
            rail, network, asset, address,
            any(currency) AS currency,
            min(reading) AS first_reading,
            max(reading) AS last_reading,
            argMin((block, read_at, held, flowed), reading) AS first,
            argMax((block, read_at, held, flowed), reading) AS last
        FROM
        (
            SELECT
                rail, network, asset, block, read_at, address, currency, held, flowed, lines, why, reading,
                reading - row_number() OVER
                    (PARTITION BY rail, network, asset, address, lines ORDER BY reading) AS span
            FROM known
        )
        GROUP BY rail, network, asset, address, lines, span
    ),
    moved AS
    (
        SELECT
            s.rail AS rail, s.network AS network, s.asset AS asset,
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
        GROUP BY rail, network, asset
    ),
    sums AS
    (
        SELECT
            rail, network, asset,
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
                rail, network, asset, address, currency, first_reading, last_reading, first, last,
                max(last_reading) OVER (PARTITION BY rail, network, asset) AS newest_reading
            FROM spans
        ) AS p
        GROUP BY rail, network, asset
    )
SELECT
    n.rail AS rail,
    n.network AS network,
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
    n.newest_why AS problem
FROM newest AS n
LEFT JOIN sums AS u ON u.rail = n.rail AND u.network = n.network AND u.asset = n.asset
LEFT JOIN moved AS m ON m.rail = n.rail AND m.network = n.network AND m.asset = n.asset
COMMENT 'What the chain says: per rail and asset the opening balance, what settlements moved, and the balance that is there.';

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
