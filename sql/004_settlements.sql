-- Money that moved on a rail.

-- One row per revision of a settlement, appended when something changed; the latest revision wins.
CREATE TABLE IF NOT EXISTS masques.settlements
(
    settlement_id UUID COMMENT 'uuid5 of the payment''s own identity on its rail',
    timestamp DateTime64(9, 'UTC') COMMENT 'time of the fact: block, settle, or intent',
    rail LowCardinality(String) COMMENT 'lightning, solana or base',
    protocol LowCardinality(String) COMMENT 'l402 or x402',
    amount Decimal(76, 18),
    currency LowCardinality(String),
    tx_hash String,
    block_height Nullable(UInt64),
    confirmations UInt32,
    from_account_id UUID COMMENT 'the payer''s account in the ledger; zero when unattributed',
    to_address String,
    status LowCardinality(String) COMMENT 'pending, confirmed, failed or unknown',
    failure_reason String,
    network_fee Decimal(76, 18) COMMENT 'in fee_currency',
    facilitator_fee Decimal(76, 18) COMMENT 'in currency',
    direction LowCardinality(String) COMMENT 'in or out',
    revision UInt32 COMMENT '1 and up per settlement',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when this revision was written',
    finality LowCardinality(String) COMMENT 'the rail''s own word; empty for an intent',
    block_hash String,
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
    asset String COMMENT 'token contract or mint; empty for the rail''s own coin',
    payer String,
    payment_ref String COMMENT 'nonce, payment hash or signature',
    fee_currency LowCardinality(String),
    transaction_id Nullable(UUID) COMMENT 'the ledger transfer that this settles',
    attributes Map(LowCardinality(String), String),
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX settlement_id_bloom settlement_id TYPE bloom_filter GRANULARITY 4,
    INDEX tx_hash_bloom tx_hash TYPE bloom_filter GRANULARITY 4,
    INDEX payment_ref_bloom payment_ref TYPE bloom_filter GRANULARITY 4,
    INDEX from_account_id_bloom from_account_id TYPE bloom_filter GRANULARITY 4,
    INDEX transaction_id_bloom transaction_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, settlement_id)
TTL toDate(timestamp) + INTERVAL 7 YEAR;
