-- What the 402 gate let through, challenged or refused.

CREATE TABLE IF NOT EXISTS masques.api_requests
(
    request_id UUID COMMENT 'id of the request, given by the gate',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the request arrived, by the clock of the gate',
    identity_id UUID COMMENT 'who asked; the zero UUID when not known',
    session_id Nullable(UUID) COMMENT 'the session that the request belongs to; NULL when to none',
    endpoint LowCardinality(String) COMMENT 'path of the endpoint, without ids and query',
    method LowCardinality(String) COMMENT 'HTTP method',
    resource_type LowCardinality(String) COMMENT 'kind of what was asked for: masque, mcp_tool, api and so on',
    resource_id String COMMENT 'what was asked for, as the gate names it',
    tokens_input UInt64 COMMENT 'tokens that a model read for the request; 0 when it used none',
    tokens_output UInt64 COMMENT 'tokens that a model wrote for the request; 0 when it used none',
    bytes_transferred UInt64 COMMENT 'size of the answer in bytes',
    duration_ms UInt64 COMMENT 'time to answer in milliseconds',
    price_usd Decimal(18, 6) COMMENT 'price list value, not money moved',
    transaction_id Nullable(UUID) COMMENT 'the ledger transfer that paid',
    status_code UInt16 COMMENT 'HTTP status of the answer',
    payment_status LowCardinality(String)
        COMMENT 'challenged, paid, free_tier, rejected, insufficient_funds, settlement_pending, unknown',
    trace_id String COMMENT '32 lower-case hex digits, or empty',
    span_id String COMMENT '16 lower-case hex digits, or empty',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was loaded into this warehouse',
    INDEX request_id_bloom request_id TYPE bloom_filter GRANULARITY 4,
    INDEX identity_id_bloom identity_id TYPE bloom_filter GRANULARITY 4,
    INDEX session_id_bloom session_id TYPE bloom_filter GRANULARITY 4,
    INDEX transaction_id_bloom transaction_id TYPE bloom_filter GRANULARITY 4,
    INDEX trace_id_bloom trace_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, identity_id, request_id)
TTL toDate(timestamp) + INTERVAL 1 YEAR
COMMENT 'Requests that the 402 gate let through, challenged or refused. One row per request. Filled from the landing zone.';
