-- Rails that believe nobody: what the journal claims and what of it is proved, what the chain has,
-- what each run did.

-- Until when each rail was read; head, errors and duration of its runs are in rail_runs.
ALTER TABLE masques_ops.rail_cursors
    ADD COLUMN IF NOT EXISTS read_to Nullable(DateTime64(9, 'UTC'))
    COMMENT 'block time of the newest block that was read to its finality; NULL when it is not known'
    AFTER position;

ALTER TABLE masques.settlements COMMENT COLUMN status
    'pending, confirmed, failed, unknown, superseded, off_chain, claimable or not_followed: see docs/rails.md';
ALTER TABLE masques.settlements COMMENT COLUMN failure_reason
    'why the payment failed, is unknown or is not followed; empty otherwise';
ALTER TABLE masques.settlements COMMENT COLUMN transaction_id
    'the first ledger transfer of masques_ops.settlement_links; NULL without a link';
ALTER TABLE masques_ops.settlement_findings COMMENT COLUMN kind
    'facts_disagree, intent_disagrees, facilitator_contradicted, changed_after_final, claims_disagree, claim_disagrees, or a kind of a rail';

-- What successful answers in the gate's journal claim: that a transaction settles ledger transfers.
-- A claim is a link only when the transaction is the chain's own and no other claim contradicts it.
CREATE TABLE IF NOT EXISTS masques_ops.settlement_claims
(
    settlement_id UUID COMMENT 'the settlement',
    tx_hash String COMMENT 'transaction that the answer names, as settlements.tx_hash has it; empty when it names none',
    transaction_ids Array(UUID) COMMENT 'the ledger transfers that the line names, sorted',
    asset String COMMENT 'what the line says was paid, as settlements.asset has it',
    to_address String COMMENT 'who the line says was paid; empty when it does not say',
    amount Decimal(76, 18) COMMENT 'how much the line says was paid, in whole units of the currency',
    is_exact UInt8 COMMENT '1 when exactly that has to be paid; 0 when it may be more',
    claimed_at DateTime64(9, 'UTC') COMMENT 'time of the line',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (settlement_id, tx_hash, transaction_ids, asset, to_address, amount, is_exact)
TTL toDate(recorded_at) + INTERVAL 7 YEAR
COMMENT 'Ledger transfers that successful answers of the journal name for a settlement. One row per different claim. Read it with FINAL.';

-- The links that are proved, many to many. FINAL leaves out those that were withdrawn.
CREATE TABLE IF NOT EXISTS masques_ops.settlement_links
(
    settlement_id UUID COMMENT 'the settlement',
    transaction_id UUID COMMENT 'a ledger transfer that it settles',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest wins',
    is_deleted UInt8 COMMENT '1 when the link was withdrawn: FINAL leaves the row out'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at, is_deleted)
ORDER BY (settlement_id, transaction_id)
COMMENT 'Which ledger transfers a settlement settles, many to many: proved by a successful answer whose transaction is the chain''s own. Read it with FINAL.';

-- What the chain has, as its node answered. No retention: the first row of an address is its opening balance.
CREATE TABLE IF NOT EXISTS masques_ops.rail_balances
(
    rail LowCardinality(String) COMMENT 'lightning, solana or base',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain, or the Lightning network',
    asset String COMMENT 'token contract or mint; empty for the rail''s own coin',
    address String COMMENT 'address or token account; on Lightning the public key of the node',
    line LowCardinality(String) COMMENT 'what is counted: balance, or a line of the node (channels, wallet, commit_fee, forward_fees and so on)',
    is_flow UInt8 COMMENT '1 when the line counts what ever moved beside the settlements (added up since the beginning, negative when it left); 0 when it is money that is there',
    currency LowCardinality(String) COMMENT 'asset as settlements.currency has it',
    balance Decimal(76, 18) COMMENT 'in whole units of the currency; 0 when it is not known',
    block UInt64 COMMENT 'block or slot that the balance is of; 0 on a rail without blocks',
    block_hash String COMMENT 'hash of that block, where the rail has one',
    finality LowCardinality(String) COMMENT 'the rail''s own word',
    read_at DateTime64(9, 'UTC') COMMENT 'time of the block; on a rail without blocks, of the node''s answer',
    problem String COMMENT 'why the balance is not known (the node no longer has the state); empty when it is',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (rail, network, asset, block, read_at, address, line)
COMMENT 'Balances that the nodes answered, per asset, address and block. Read it with FINAL.';

-- What the gate reported, as facts: nothing here is a secret, and nothing here decides about money.
CREATE TABLE IF NOT EXISTS masques_ops.journal_events
(
    event_id UUID COMMENT 'uuid5 of the line: the same line has the same id wherever it is read',
    time DateTime64(9, 'UTC') COMMENT 'time of the line',
    kind LowCardinality(String) COMMENT 'challenge, verify, settle or payout',
    protocol LowCardinality(String) COMMENT 'x402, l402, or empty',
    scheme LowCardinality(String) COMMENT 'scheme of the payment: exact, upto and so on; other when it is not known',
    network LowCardinality(String) COMMENT 'CAIP-2 id; other when it is not known',
    settlement_id UUID COMMENT 'the settlement that the line announces; zero for none',
    reference String COMMENT 'nonce, payment hash, transaction or payout id',
    outcome LowCardinality(String) COMMENT 'success, pending, failed, refused, verified, unanswered, or asked for a challenge',
    error_reason LowCardinality(String) COMMENT 'reason of the answer, when it is a known word; other, or empty',
    latency_ms Nullable(UInt32) COMMENT 'time that the answer took; NULL when the line does not say',
    transaction_ids Array(UUID) COMMENT 'ledger transfers that the line names, whatever the answer',
    source String COMMENT 'file of the journal',
    line_no UInt64 COMMENT 'line of that file, from 1',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
PARTITION BY toYYYYMM(time)
ORDER BY (time, event_id)
TTL toDate(time) + INTERVAL 2 YEAR
COMMENT 'Lines of the gate''s journal: challenges, verifications, settlements and payouts, with their answers. One row per line. Read it with FINAL.';

-- What each run did on each rail.
CREATE TABLE IF NOT EXISTS masques_ops.rail_runs
(
    rail LowCardinality(String) COMMENT 'lightning, solana, base or journal',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain; empty for the journal',
    finished_at DateTime64(6, 'UTC') COMMENT 'when the run ended on this rail',
    state LowCardinality(String) COMMENT 'read, behind, failed or off',
    problem String COMMENT 'why it failed or is off; empty otherwise',
    endpoint String COMMENT 'scheme, host and port of the node, or the folder',
    position Int64 COMMENT 'block, slot, index or byte that the rail stands at',
    behind Int64 COMMENT 'distance from there to the rail''s head',
    calls UInt64 COMMENT 'requests sent',
    observations UInt64 COMMENT 'observations made, including those that were recorded already',
    revisions UInt64 COMMENT 'rows of masques.settlements appended',
    findings UInt64 COMMENT 'contradictions recorded',
    rejected UInt64 COMMENT 'rows of the quarantine',
    duration_s Float64 COMMENT 'how long it took, in seconds'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (rail, network, finished_at)
TTL toDate(finished_at) + INTERVAL 90 DAY
COMMENT 'What each run did on each rail, and why a rail failed. One row per run and rail.';
