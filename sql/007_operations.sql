-- What the pipeline needs for itself. A re-run changes nothing.

-- The log of `masques migrate`: one row when a file is begun, one when it is done. The runner makes
-- this table before any file is applied, from this very statement; it must stay the first.
CREATE TABLE IF NOT EXISTS masques_ops.schema_migrations
(
    version UInt16 COMMENT 'number of the file',
    name String COMMENT 'the file',
    checksum String COMMENT 'SHA-256 of the file, hex',
    state LowCardinality(String) COMMENT 'started or applied',
    project_version String,
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (version, recorded_at);

-- Which ledger this warehouse is a copy of. One row; a second ledger is refused.
CREATE TABLE IF NOT EXISTS masques_ops.ledger_binding
(
    cluster_id UInt128,
    first_event_at DateTime64(9, 'UTC') COMMENT 'ledger time of the ledger''s first event',
    first_transfer_id UUID,
    source String COMMENT 'where it was read when it was bound',
    bound_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY bound_at;

-- The chart: what the ledger's numbers mean. The ledger stores none of it. A whole chart is one
-- insert and one version, so that it changes at once; older versions stay readable.
CREATE TABLE IF NOT EXISTS masques_ops.chart_entries
(
    version UInt64 COMMENT 'nanoseconds since 1970 when this chart was loaded',
    kind LowCardinality(String) COMMENT 'ledger, account_code, transfer_code or resource_type',
    code UInt32,
    name String COMMENT 'asset of a ledger, otherwise the meaning of the code',
    scale UInt8 COMMENT 'of a ledger: decimal places of one unit of the asset'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (version, kind, code);

-- An insert may be sent twice, so each view takes one row of a code. (Not `version = (SELECT …)`:
-- the inlets' views read these, and must hold no scalar subquery.)
CREATE VIEW IF NOT EXISTS masques_ops.chart_ledgers AS
SELECT code AS ledger, any(name) AS asset, any(scale) AS scale
FROM masques_ops.chart_entries
WHERE kind = 'ledger' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;

CREATE VIEW IF NOT EXISTS masques_ops.chart_account_codes AS
SELECT toUInt16(code) AS code, any(name) AS account_type
FROM masques_ops.chart_entries
WHERE kind = 'account_code' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;

CREATE VIEW IF NOT EXISTS masques_ops.chart_transfer_codes AS
SELECT toUInt16(code) AS code, any(name) AS transaction_type
FROM masques_ops.chart_entries
WHERE kind = 'transfer_code' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;

CREATE VIEW IF NOT EXISTS masques_ops.chart_resource_types AS
SELECT toUInt8(code) AS code, any(name) AS resource_type
FROM masques_ops.chart_entries
WHERE kind = 'resource_type' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;

-- Inlet of change events: the ledger's 384-byte records are RowBinary of these columns, in this
-- order. Nothing is stored here; the view below turns each inserted block into transactions.
CREATE TABLE IF NOT EXISTS masques_ops.change_events_inlet
(
    transfer_id UInt128,
    transfer_amount UInt128,
    transfer_pending_id UInt128,
    transfer_user_data_128 UInt128,
    transfer_user_data_64 UInt64,
    transfer_user_data_32 UInt32,
    transfer_timeout UInt32,
    transfer_code UInt16,
    transfer_flags UInt16,
    ledger UInt32,
    type UInt8,
    reserved FixedString(39),
    debit_account_id UInt128,
    debit_account_debits_pending UInt128,
    debit_account_debits_posted UInt128,
    debit_account_credits_pending UInt128,
    debit_account_credits_posted UInt128,
    debit_account_user_data_128 UInt128,
    debit_account_user_data_64 UInt64,
    debit_account_user_data_32 UInt32,
    debit_account_code UInt16,
    debit_account_flags UInt16,
    credit_account_id UInt128,
    credit_account_debits_pending UInt128,
    credit_account_debits_posted UInt128,
    credit_account_credits_pending UInt128,
    credit_account_credits_posted UInt128,
    credit_account_user_data_128 UInt128,
    credit_account_user_data_64 UInt64,
    credit_account_user_data_32 UInt32,
    credit_account_code UInt16,
    credit_account_flags UInt16,
    timestamp UInt64,
    transfer_timestamp UInt64,
    debit_account_timestamp UInt64,
    credit_account_timestamp UInt64
)
ENGINE = Null;

-- A time that is there already is dropped, so a page may come twice, whole or in part. Inside the
-- view the inlet's name in a subquery means the inserted block. No scalar subquery may stand in this
-- view or in what it reads, as in `>= (SELECT min(…))`: with one, an insert whose data is streamed
-- in wrote no row, without an error (seen on engine 26.9.2). IN and JOIN are sound. A ledger id x
-- becomes the UUID with the integer x by swapping its halves. An expiry has no pending_id in the
-- ledger: it is the hold.
CREATE MATERIALIZED VIEW IF NOT EXISTS masques_ops.transactions_from_change_events
TO masques.transactions
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
FROM masques_ops.change_events_inlet AS e
LEFT JOIN masques_ops.chart_ledgers AS ledgers ON ledgers.ledger = e.ledger
LEFT JOIN masques_ops.chart_transfer_codes AS codes ON codes.code = e.transfer_code
LEFT JOIN masques_ops.chart_resource_types AS resources
    ON resources.code = toUInt8(bitShiftRight(e.transfer_user_data_32, 24))
WHERE fromUnixTimestamp64Nano(toInt64(e.timestamp), 'UTC') NOT IN
(
    SELECT t.timestamp
    FROM masques.transactions AS t
    WHERE t.timestamp IN
    (
        SELECT fromUnixTimestamp64Nano(toInt64(b.timestamp), 'UTC')
        FROM masques_ops.change_events_inlet AS b
    )
);

-- Inlet of accounts: the ledger's 128-byte records as RowBinary, each followed by the ledger time
-- of the page that it came in.
CREATE TABLE IF NOT EXISTS masques_ops.accounts_inlet
(
    id UInt128,
    debits_pending UInt128,
    debits_posted UInt128,
    credits_pending UInt128,
    credits_posted UInt128,
    user_data_128 UInt128,
    user_data_64 UInt64,
    user_data_32 UInt32,
    reserved UInt32,
    ledger UInt32,
    code UInt16,
    flags UInt16,
    timestamp UInt64,
    snapshot_at UInt64
)
ENGINE = Null;

-- An account that is there already with the same content is dropped, so a page may come twice.
CREATE MATERIALIZED VIEW IF NOT EXISTS masques_ops.accounts_from_ledger
TO masques.accounts
AS
WITH read AS
(
    SELECT
        reinterpretAsUUID(bitOr(bitShiftLeft(a.id, 64), bitShiftRight(a.id, 64))) AS account_id,
        reinterpretAsUUID(
            bitOr(bitShiftLeft(a.user_data_128, 64), bitShiftRight(a.user_data_128, 64)))
            AS identity_id,
        fromUnixTimestamp64Nano(toInt64(a.snapshot_at), 'UTC') AS snapshot_at,
        toInt256(intExp10(18 - ifNull(ledgers.scale, 0))) AS unit,
        reinterpret(toInt256(a.credits_posted) * unit, 'Decimal(76, 18)') AS credits_posted,
        reinterpret(toInt256(a.debits_posted) * unit, 'Decimal(76, 18)') AS debits_posted,
        reinterpret(toInt256(a.credits_pending) * unit, 'Decimal(76, 18)') AS credits_pending,
        reinterpret(toInt256(a.debits_pending) * unit, 'Decimal(76, 18)') AS debits_pending,
        coalesce(nullIf(ledgers.asset, ''), concat('ledger_', toString(a.ledger))) AS currency,
        coalesce(nullIf(codes.account_type, ''), concat('code_', toString(a.code)))
            AS account_type,
        a.ledger AS ledger,
        a.code AS code,
        a.flags AS flags,
        fromUnixTimestamp64Nano(toInt64(a.timestamp), 'UTC') AS created_at
    FROM masques_ops.accounts_inlet AS a
    LEFT JOIN masques_ops.chart_ledgers AS ledgers ON ledgers.ledger = a.ledger
    LEFT JOIN masques_ops.chart_account_codes AS codes ON codes.code = a.code
)
SELECT
    account_id, identity_id, snapshot_at, credits_posted, debits_posted, credits_pending,
    debits_pending, currency, account_type, ledger, code, flags, created_at
FROM read
WHERE (account_id, credits_posted, debits_posted, credits_pending, debits_pending, currency,
    account_type, flags) NOT IN
(
    SELECT
        k.account_id, k.credits_posted, k.debits_posted, k.credits_pending, k.debits_pending,
        toString(k.currency), toString(k.account_type), k.flags
    FROM masques.accounts AS k FINAL
    WHERE k.account_id IN
    (
        SELECT reinterpretAsUUID(bitOr(bitShiftLeft(b.id, 64), bitShiftRight(b.id, 64)))
        FROM masques_ops.accounts_inlet AS b
    )
);

-- At which ledger time each range of accounts was read: a proof of an account that did not change
-- since needs the time of its newest reading, not of its newest row.
CREATE TABLE IF NOT EXISTS masques_ops.account_reads
(
    read_id UUID COMMENT 'one reading of all accounts',
    page UInt32 COMMENT '0 and up; the pages of one reading cover all accounts, by creation time',
    created_from_ns UInt64 COMMENT 'creation time of the page''s first account',
    created_to_ns UInt64 COMMENT 'creation time of the page''s last account',
    accounts UInt32,
    snapshot_at_ns UInt64 COMMENT 'ledger time at which the page''s balances held',
    snapshot_at DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(toInt64(snapshot_at_ns), 'UTC'),
    is_last UInt8 COMMENT '1 on the page that completes the reading',
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (read_id, page)
TTL toDate(recorded_at) + INTERVAL 1 YEAR;

-- Rows that could not be loaded, with the reason, kept until they are replayed or discarded. A
-- change of state is a new row with a later updated_at; read it with FINAL.
CREATE TABLE IF NOT EXISTS masques_ops.quarantine
(
    table_name LowCardinality(String) COMMENT 'where the row was meant to go',
    source String COMMENT 'the file, or what else brought it',
    line_no UInt64 COMMENT '1 and up; 0 for a whole file',
    reason LowCardinality(String) COMMENT 'kind:field, as in bad_uuid:request_id',
    raw String COMMENT 'the row as it came',
    first_seen DateTime64(3, 'UTC'),
    attempts UInt32 COMMENT 'how often it was tried',
    state LowCardinality(String) COMMENT 'open, replayed or discarded',
    updated_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(updated_at)
ORDER BY (table_name, source, line_no);
