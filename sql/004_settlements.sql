-- Money that moved on a rail.

-- One row per revision of a settlement, appended when something changed; the latest revision wins.
CREATE TABLE IF NOT EXISTS masques.settlements
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
    status LowCardinality(String) COMMENT 'pending, confirmed, failed or unknown',
    failure_reason String COMMENT 'why the payment failed; empty unless it did',
    network_fee Decimal(76, 18) COMMENT 'in fee_currency',
    facilitator_fee Decimal(76, 18) COMMENT 'in currency',
    direction LowCardinality(String) COMMENT 'in or out',
    revision UInt32 COMMENT '1 and up per settlement',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when this revision was written',
    finality LowCardinality(String) COMMENT 'the rail''s own word; empty for an intent',
    block_hash String COMMENT 'hash of the block; empty while in none',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
    asset String COMMENT 'token contract or mint; empty for the rail''s own coin',
    payer String COMMENT 'address that pays, EVM addresses in lower case; empty when unknown',
    payment_ref String COMMENT 'nonce, payment hash or signature',
    fee_currency LowCardinality(String) COMMENT 'asset that network_fee is paid in',
    transaction_id Nullable(UUID) COMMENT 'the ledger transfer that this settles',
    attributes Map(LowCardinality(String), String) COMMENT 'further facts of the rail, by name',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was written into this warehouse',
    INDEX settlement_id_bloom settlement_id TYPE bloom_filter GRANULARITY 4,
    INDEX tx_hash_bloom tx_hash TYPE bloom_filter GRANULARITY 4,
    INDEX payment_ref_bloom payment_ref TYPE bloom_filter GRANULARITY 4,
    INDEX from_account_id_bloom from_account_id TYPE bloom_filter GRANULARITY 4,
    INDEX transaction_id_bloom transaction_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, settlement_id)
TTL toDate(timestamp) + INTERVAL 7 YEAR
COMMENT 'Payments on the rails (Base, Solana, Lightning). One row per revision, never changed: read masques_marts.settlements_current, and sum only that. Read from the rails and from the journal of the gate.';
