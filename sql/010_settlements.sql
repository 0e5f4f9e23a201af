-- Settlements from the rails: inlet, cursors, findings, payers, views. A re-run changes nothing.

-- Inlet of revisions. Nothing is stored here; the view below drops what is there already.
CREATE TABLE IF NOT EXISTS masques_ops.settlements_inlet
(
    settlement_id UUID,
    timestamp DateTime64(9, 'UTC'),
    rail LowCardinality(String),
    protocol LowCardinality(String),
    amount Decimal(76, 18),
    currency LowCardinality(String),
    tx_hash String,
    block_height Nullable(UInt64),
    confirmations UInt32,
    from_account_id UUID,
    to_address String,
    status LowCardinality(String),
    failure_reason String,
    network_fee Decimal(76, 18),
    facilitator_fee Decimal(76, 18),
    direction LowCardinality(String),
    revision UInt32,
    recorded_at DateTime64(6, 'UTC'),
    finality LowCardinality(String),
    block_hash String,
    network LowCardinality(String),
    asset String,
    payer String,
    payment_ref String,
    fee_currency LowCardinality(String),
    transaction_id Nullable(UUID),
    attributes Map(LowCardinality(String), String)
)
ENGINE = Null;

-- An insert may be sent twice: a revision that is there already is dropped. Inside the view the
-- inlet's name in a subquery means the inserted block.
CREATE MATERIALIZED VIEW IF NOT EXISTS masques_ops.settlements_from_rails
TO masques.settlements
AS
SELECT i.*
FROM masques_ops.settlements_inlet AS i
WHERE (i.settlement_id, i.revision) NOT IN
(
    SELECT s.settlement_id, s.revision
    FROM masques.settlements AS s
    WHERE s.settlement_id IN (SELECT b.settlement_id FROM masques_ops.settlements_inlet AS b)
);

-- Where each rail goes on. The newest row of a rail and network speaks; read it with FINAL.
CREATE TABLE IF NOT EXISTS masques_ops.rail_cursors
(
    rail LowCardinality(String) COMMENT 'base, solana, lightning or journal',
    network String COMMENT 'CAIP-2 id; of the journal its folder',
    cursor String COMMENT 'JSON, the rail''s own',
    position Int64 COMMENT 'block, slot, index or byte that it stands at',
    saved_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(saved_at)
ORDER BY (rail, network);

-- Facts that contradict each other. One row for each contradiction, however often it is seen.
CREATE TABLE IF NOT EXISTS masques_ops.settlement_findings
(
    settlement_id UUID,
    kind LowCardinality(String) COMMENT 'facts_disagree, intent_disagrees, facilitator_contradicted or changed_after_final',
    detail String COMMENT 'what was written down and what is said now',
    rail LowCardinality(String),
    revision UInt32 COMMENT 'the revision that was written because of it; 0 when none was',
    found_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(found_at)
ORDER BY (settlement_id, kind, detail);

-- Whose addresses pay: the second way to an account, after the payment's own reference.
CREATE TABLE IF NOT EXISTS masques_ops.payer_addresses
(
    rail LowCardinality(String),
    address String COMMENT 'as settlements.payer has it: EVM addresses in lower case',
    account_id UUID COMMENT 'the ledger account of its owner',
    valid_from DateTime64(6, 'UTC'),
    valid_to DateTime64(6, 'UTC') COMMENT 'exclusive',
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (rail, address, valid_from);

-- Each settlement as it stands: its newest revision, exact before any merge. Sum this view.
CREATE OR REPLACE VIEW masques_marts.settlements_current AS
SELECT
    settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes
FROM masques.settlements
ORDER BY settlement_id, revision DESC
LIMIT 1 BY settlement_id;

-- Money and counts by rail: what came in, what went out, what is on its way.
CREATE OR REPLACE VIEW masques_marts.settlements_by_rail AS
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
GROUP BY rail, network, currency, direction, status;
