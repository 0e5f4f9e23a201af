-- The copy of the TigerBeetle ledger.
--
-- Money is Decimal(76, 18): it holds every u128 at every asset scale from 0 to 18 (Decimal(38, 18)
-- does not, and its sum wraps without an error). Time is exact to the nanosecond: the ledger stamps
-- the transfers of a batch one nanosecond apart.

-- Balances at the ledger time snapshot_at. An account gets a row only when something of it changed.
CREATE TABLE IF NOT EXISTS masques.accounts
(
    account_id UUID COMMENT 'the ledger id x as uuid.UUID(int=x)',
    identity_id UUID COMMENT 'user_data_128 of the account; zero when it has no owner',
    snapshot_at DateTime64(9, 'UTC') COMMENT 'ledger time at which these balances held, exactly',
    credits_posted Decimal(76, 18) COMMENT 'sum of all posted credits, in whole units of the currency',
    debits_posted Decimal(76, 18) COMMENT 'sum of all posted debits, in whole units of the currency',
    credits_pending Decimal(76, 18)
        COMMENT 'sum of open holds in favour of the account, in whole units of the currency',
    debits_pending Decimal(76, 18) COMMENT 'sum of open holds against the account, in whole units of the currency',
    balance Decimal(76, 18) MATERIALIZED credits_posted - debits_posted
        COMMENT 'credits_posted - debits_posted, in whole units of the currency; negative for an account that owes',
    currency LowCardinality(String) COMMENT 'asset of the ledger by the chart; ledger_<n> when unknown',
    account_type LowCardinality(String) COMMENT 'account code by the chart; code_<n> when unknown',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    code UInt16 COMMENT 'account code in TigerBeetle; account_type is its meaning',
    flags UInt16 COMMENT '1 linked, 2 debits<=credits, 4 credits<=debits, 8 history, 16 imported, 32 closed',
    created_at DateTime64(9, 'UTC') COMMENT 'ledger time of the account''s creation',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was written into this warehouse',
    INDEX identity_id_bloom identity_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(snapshot_at)
ORDER BY account_id
COMMENT 'Balances of every ledger account at the ledger time snapshot_at. A new row only when something changed; read it with FINAL. Copied from TigerBeetle.';

-- One row per change event of the ledger. A hold and its post are two rows: sum the views of
-- masques_marts, never this table. The newest row is the sync's cursor, hence both fsyncs: a power
-- cut must not lose an earlier part and keep a later one. A batch of 65 k rows is some 10 MB: as a
-- compact part it is two files to sync instead of sixty.
CREATE TABLE IF NOT EXISTS masques.transactions
(
    transaction_id UUID COMMENT 'the transfer; an expiry carries the id of its hold',
    timestamp DateTime64(9, 'UTC') COMMENT 'ledger time of the event; unique',
    debit_account_id UUID COMMENT 'the account that pays',
    credit_account_id UUID COMMENT 'the account that is paid',
    amount Decimal(76, 18) COMMENT 'the event''s own amount in whole units of the currency',
    currency LowCardinality(String) COMMENT 'asset of the ledger by the chart; ledger_<n> when unknown',
    transaction_type LowCardinality(String) COMMENT 'transfer code by the chart; code_<n> when unknown',
    resource_type LowCardinality(String) COMMENT 'user_data_32 >> 24 by the chart; type_<n> when unknown',
    resource_id String COMMENT 'user_data_32 & 0xFFFFFF; empty when user_data_32 is 0',
    status LowCardinality(String) COMMENT 'pending, posted, voided or expired',
    attributes Map(LowCardinality(String), String)
        COMMENT 'further facts of the event; for an expiry hold_timestamp_ns, the ledger time of its hold',
    trace_id String COMMENT '32 lower-case hex digits of user_data_128, or empty',
    span_id String COMMENT '16 lower-case hex digits of user_data_64, or empty',
    pending_id Nullable(UUID) COMMENT 'the hold that this event posts, voids or expires',
    event_type LowCardinality(String)
        COMMENT 'single_phase, two_phase_pending, two_phase_posted, two_phase_voided, two_phase_expired',
    ledger UInt32 COMMENT 'number of the ledger (of its asset) in TigerBeetle',
    code UInt16 COMMENT 'transfer code in TigerBeetle; transaction_type is its meaning',
    flags UInt16 COMMENT '1 linked, 2 pending, 4 post, 8 void, 16/32 balancing, 64/128 closing, 256 imported',
    timeout_s UInt32 COMMENT 'seconds after which a hold expires; 0 for never',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was written into this warehouse',
    INDEX transaction_id_bloom transaction_id TYPE bloom_filter GRANULARITY 4,
    INDEX pending_id_bloom pending_id TYPE bloom_filter GRANULARITY 4,
    INDEX debit_account_id_bloom debit_account_id TYPE bloom_filter GRANULARITY 4,
    INDEX credit_account_id_bloom credit_account_id TYPE bloom_filter GRANULARITY 4,
    INDEX trace_id_bloom trace_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, transaction_id)
TTL toDate(timestamp) + INTERVAL 7 YEAR
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_bytes_for_wide_part = 67108864
COMMENT 'One row per change event of the TigerBeetle ledger. A hold and its post are two rows: sum the views of masques_marts, never this table.';
