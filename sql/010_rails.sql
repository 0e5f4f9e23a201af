-- Payment rails, beside masques.settlements: cursors, findings, the owners of addresses.

-- Where each rail continues. The latest row of a rail and network wins; read it with FINAL.
CREATE TABLE IF NOT EXISTS masques_ops.rail_cursors
(
    rail LowCardinality(String) COMMENT 'base, solana, lightning or journal',
    network String COMMENT 'CAIP-2 id; of the journal its folder',
    cursor String COMMENT 'JSON, the rail''s own',
    position Int64 COMMENT 'block, slot, index or byte that it stands at',
    saved_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest row of a rail and network wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(saved_at)
ORDER BY (rail, network)
COMMENT 'Where each rail continues. Read it with FINAL.';

-- Facts that contradict each other. One row for each contradiction, however often it is seen.
CREATE TABLE IF NOT EXISTS masques_ops.settlement_findings
(
    settlement_id UUID COMMENT 'the settlement',
    kind LowCardinality(String) COMMENT 'facts_disagree, intent_disagrees, facilitator_contradicted or changed_after_final',
    detail String COMMENT 'what was written down and what is said now',
    rail LowCardinality(String) COMMENT 'lightning, solana or base',
    revision UInt32 COMMENT 'the revision that was written because of it; 0 when none was',
    found_at DateTime64(6, 'UTC') COMMENT 'when it was seen last'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(found_at)
ORDER BY (settlement_id, kind, detail)
COMMENT 'Facts about settlements that contradict each other. One row per contradiction. Read it with FINAL.';

-- Who owns the addresses that pay: the second way to an account, after the payment's own reference.
CREATE TABLE IF NOT EXISTS masques_ops.payer_addresses
(
    rail LowCardinality(String) COMMENT 'lightning, solana or base',
    address String COMMENT 'as settlements.payer has it: EVM addresses in lower case',
    account_id UUID COMMENT 'the ledger account of its owner',
    valid_from DateTime64(6, 'UTC') COMMENT 'the account owns the address from here on',
    valid_to DateTime64(6, 'UTC') COMMENT 'exclusive',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (rail, address, valid_from)
COMMENT 'Who owns the addresses that pay, and for how long. Read it with FINAL.';
