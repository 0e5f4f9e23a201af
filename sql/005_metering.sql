-- What the 402 gate let through, challenged or refused.

CREATE TABLE IF NOT EXISTS masques.api_requests
(
    request_id UUID,
    timestamp DateTime64(9, 'UTC'),
    identity_id UUID,
    session_id Nullable(UUID),
    endpoint LowCardinality(String),
    method LowCardinality(String),
    resource_type LowCardinality(String),
    resource_id String,
    tokens_input UInt64,
    tokens_output UInt64,
    bytes_transferred UInt64,
    duration_ms UInt64,
    price_usd Decimal(18, 6) COMMENT 'price list value, not money moved',
    transaction_id Nullable(UUID) COMMENT 'the ledger transfer that paid',
    status_code UInt16,
    payment_status LowCardinality(String)
        COMMENT 'challenged, paid, free_tier, rejected, insufficient_funds, settlement_pending, unknown',
    trace_id String COMMENT '32 lower-case hex digits, or empty',
    span_id String COMMENT '16 lower-case hex digits, or empty',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX request_id_bloom request_id TYPE bloom_filter GRANULARITY 4,
    INDEX identity_id_bloom identity_id TYPE bloom_filter GRANULARITY 4,
    INDEX session_id_bloom session_id TYPE bloom_filter GRANULARITY 4,
    INDEX transaction_id_bloom transaction_id TYPE bloom_filter GRANULARITY 4,
    INDEX trace_id_bloom trace_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, identity_id, request_id)
TTL toDate(timestamp) + INTERVAL 1 YEAR;
