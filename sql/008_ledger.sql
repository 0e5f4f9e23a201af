-- The copy of the ledger, beside the two tables of 003: which ledger it is, the chart, and what the
-- proofs write: seals of what the ledger sent, proven balances, account history.
--
-- Amounts here are raw: the ledger's own integers, whatever the chart says of their scale. So neither
-- seals nor checkpoints change when the chart learns a ledger.

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

-- Rows that the ledger sent once more: `masques ledger rebuild` swaps whole months from here, so it has
-- the form of masques.transactions. A file that changes that table changes this one too.
CREATE TABLE IF NOT EXISTS masques_ops.transactions_rebuilt AS masques.transactions;
