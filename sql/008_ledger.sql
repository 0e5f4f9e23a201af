-- The copy of the ledger, beside the two tables of 003: which ledger it is, the chart, and what the
-- proofs write: seals of what the ledger sent, proven balances, account history.
--
-- Amounts here are raw: the ledger's own integers, whatever the chart says of their scale. So neither
-- seals nor checkpoints change when the chart learns a ledger.

-- Which ledger this warehouse is a copy of. One row; a second ledger is refused.
CREATE TABLE IF NOT EXISTS masques_ops.ledger_binding
(
    cluster_id UInt128 COMMENT 'cluster id of the TigerBeetle ledger',
    first_event_at DateTime64(9, 'UTC') COMMENT 'ledger time of the ledger''s first event',
    first_transfer_id UUID COMMENT 'the transfer of the first event of the ledger',
    source String COMMENT 'where it was read when it was bound',
    bound_at DateTime64(6, 'UTC') COMMENT 'when the warehouse was bound to the ledger'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY bound_at
COMMENT 'Which ledger this warehouse is a copy of. One row; another ledger is refused.';

-- The chart: what the ledger's numbers mean. The ledger stores none of it. A whole chart is one
-- insert and one version, so that it changes at once; older versions stay readable.
CREATE TABLE IF NOT EXISTS masques_ops.chart_entries
(
    version UInt64 COMMENT 'nanoseconds since 1970 when this chart was loaded',
    kind LowCardinality(String) COMMENT 'ledger, account_code, transfer_code or resource_type',
    code UInt32 COMMENT 'the number in the ledger: of a ledger, an account code, a transfer code or a resource type',
    name String COMMENT 'asset of a ledger, otherwise the meaning of the code',
    scale UInt8 COMMENT 'of a ledger: decimal places of one unit of the asset'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (version, kind, code)
COMMENT 'The chart: what the numbers of the ledger mean. A chart is one version; older versions stay.';

-- At which ledger time each range of accounts was read: a proof of an account that did not change
-- since needs the time of its newest reading, not of its newest row.
CREATE TABLE IF NOT EXISTS masques_ops.account_reads
(
    read_id UUID COMMENT 'one reading of all accounts',
    page UInt32 COMMENT '0 and up; the pages of one reading cover all accounts, by creation time',
    created_from_ns UInt64 COMMENT 'creation time of the page''s first account',
    created_to_ns UInt64 COMMENT 'creation time of the page''s last account',
    accounts UInt32 COMMENT 'accounts on the page',
    snapshot_at_ns UInt64 COMMENT 'ledger time at which the page''s balances held',
    snapshot_at DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(toInt64(snapshot_at_ns), 'UTC')
        COMMENT 'snapshot_at_ns as a time',
    is_last UInt8 COMMENT '1 on the page that completes the reading',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (read_id, page)
TTL toDate(recorded_at) + INTERVAL 1 YEAR
COMMENT 'At which ledger time each page of accounts was read. One row per page of a reading of all accounts.';

-- One row for each sync: how far it came. The table is complete up to the newest watermark.
CREATE TABLE IF NOT EXISTS masques_ops.ledger_syncs
(
    watermark_ns UInt64 COMMENT 'ledger time up to which masques.transactions is complete',
    newest_event_ns UInt64 COMMENT 'ledger time of the newest event; 0 when there is none',
    events_read UInt64 COMMENT 'events that the ledger sent to this sync',
    rows_written UInt64 COMMENT 'rows that were new in masques.transactions',
    rows_total UInt64 COMMENT 'rows of masques.transactions after the sync',
    source String COMMENT 'the ledger that was read, without credentials',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (recorded_at, watermark_ns)
TTL toDate(recorded_at) + INTERVAL 1 YEAR
COMMENT 'One row per sync of the ledger: how far it came.';

-- One row for each batch of events that was synced: what the ledger sent, in numbers and as a digest
-- that is chained to the one before. No batch has events of two months, and none reaches past the
-- newest transfer: an import can still land behind an expiry. Two different rows of one sequence
-- number are a fork, which `masques verify` reports; an insert that was sent twice leaves one row.
CREATE TABLE IF NOT EXISTS masques_ops.ledger_seals
(
    sequence UInt64 COMMENT '1 and up',
    from_ns UInt64 COMMENT 'the events are later than this: to_ns of the seal before, 0 at first',
    to_ns UInt64 COMMENT 'ledger time of the last event',
    events UInt64 COMMENT 'events of the batch',
    posted Map(UInt32, UInt256) COMMENT 'raw amount posted, by ledger',
    held Map(UInt32, UInt256) COMMENT 'raw amount of new holds, by ledger',
    events_digest String COMMENT 'SHA-256 over the events, hex',
    previous_digest String COMMENT 'digest of the seal before; empty at first',
    digest String COMMENT 'SHA-256 over this row, hex',
    sealed_at DateTime64(6, 'UTC') COMMENT 'when the seal was written'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(sealed_at)
ORDER BY (sequence, digest)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'One row per batch of synced events: what the ledger sent, as counts and as a chained digest.';

-- Ledger times at which the balances of all accounts were proved. Proofs go on from the newest.
CREATE TABLE IF NOT EXISTS masques_ops.balance_checkpoints
(
    checkpoint_ns UInt64 COMMENT 'ledger time; events at this time are in',
    base_ns UInt64 COMMENT 'the checkpoint that this one was folded from; 0 for the beginning',
    accounts UInt64 COMMENT 'accounts whose balances were proved',
    open_holds UInt64 COMMENT 'holds that were open at the checkpoint',
    state LowCardinality(String) COMMENT 'proven, or pruned: its balances were dropped since',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest row of a checkpoint wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY checkpoint_ns
COMMENT 'Ledger times at which the balances of all accounts were proved. Later proofs start from the latest.';

-- Balances of all accounts at a checkpoint. Read it with FINAL: an insert may be sent twice.
CREATE TABLE IF NOT EXISTS masques_ops.checkpoint_balances
(
    checkpoint_ns UInt64 COMMENT 'ledger time of the checkpoint, nanoseconds since 1970',
    account_id UUID COMMENT 'the ledger account',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    debits_pending Int256 COMMENT 'raw sum of open holds against the account',
    debits_posted Int256 COMMENT 'raw sum of posted debits',
    credits_pending Int256 COMMENT 'raw sum of open holds in favour of the account',
    credits_posted Int256 COMMENT 'raw sum of posted credits'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY checkpoint_ns
ORDER BY (checkpoint_ns, account_id)
COMMENT 'Raw balances of all accounts at a checkpoint. Read it with FINAL.';

-- Holds that were open at a checkpoint. Read it with FINAL.
CREATE TABLE IF NOT EXISTS masques_ops.checkpoint_holds
(
    checkpoint_ns UInt64 COMMENT 'ledger time of the checkpoint, nanoseconds since 1970',
    transaction_id UUID COMMENT 'the transfer that opened the hold',
    opened_ns UInt64 COMMENT 'ledger time of the hold, nanoseconds since 1970',
    debit_account_id UUID COMMENT 'the account that pays',
    credit_account_id UUID COMMENT 'the account that is paid',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    amount Int256 COMMENT 'raw amount held',
    timeout_s UInt32 COMMENT 'seconds after which the hold expires; 0 for never'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY checkpoint_ns
ORDER BY (checkpoint_ns, transaction_id)
COMMENT 'Holds that were open at a checkpoint. Read it with FINAL.';

-- What each account's balances changed by on each day. A day that a checkpoint cuts has a row for
-- each side of the cut. Read it with FINAL, and only the rows of recorded checkpoints.
CREATE TABLE IF NOT EXISTS masques_ops.account_days
(
    account_id UUID COMMENT 'the ledger account',
    day Date32 COMMENT 'day of the changes, UTC',
    checkpoint_ns UInt64 COMMENT 'the checkpoint that this was derived for',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    debits_pending Int256 COMMENT 'raw change of debits_pending',
    debits_posted Int256 COMMENT 'raw change of debits_posted',
    credits_pending Int256 COMMENT 'raw change of credits_pending',
    credits_posted Int256 COMMENT 'raw change of credits_posted',
    movements UInt64 COMMENT 'changes of a balance; an expiry or a post of a hold is one too'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY toYear(day)
ORDER BY (account_id, day, checkpoint_ns)
COMMENT 'By how much the balances of each account changed on each day, raw. Read it with FINAL, and only rows of recorded checkpoints.';

-- How every proof ended, for the record.
CREATE TABLE IF NOT EXISTS masques_ops.proofs
(
    proof LowCardinality(String) COMMENT 'name of the proof',
    outcome LowCardinality(String) COMMENT 'holds, fails or inconclusive',
    detail String COMMENT 'the result in one sentence',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (recorded_at, proof)
TTL toDate(recorded_at) + INTERVAL 1 YEAR
COMMENT 'The result of every proof that ran, one row per proof and pass.';

-- Rows that the ledger sent once more: `masques ledger rebuild` swaps whole months from here, so it has
-- the form of masques.transactions. A file that changes that table changes this one too. The engine is written
-- out: AS alone copies the replica path of the other table where the server's default path has no {uuid}.
CREATE TABLE IF NOT EXISTS masques_ops.transactions_rebuilt AS masques.transactions
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, transaction_id)
TTL toDate(timestamp) + INTERVAL 7 YEAR
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_bytes_for_wide_part = 67108864
COMMENT 'Rows that the ledger sent again: masques ledger rebuild swaps whole months from here into masques.transactions. Empty between rebuilds.';
