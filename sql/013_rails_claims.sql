-- Decisions of people about claims that contradict each other: which ledger transfers a settlement
-- settles. Each decision is a row and none is changed: the latest of a settlement holds.
-- No retention: without its decision a link would be gone.
CREATE TABLE IF NOT EXISTS masques_ops.claim_decisions
(
    settlement_id UUID COMMENT 'the settlement',
    decision LowCardinality(String) COMMENT 'linked: to transaction_ids; none: to nothing; withdrawn: the decision before holds no more',
    transaction_ids Array(UUID) COMMENT 'the ledger transfers of the claim that was chosen, sorted; empty for none and withdrawn',
    claims Array(Array(UUID)) COMMENT 'the claims that were proved when it was decided: a later one is a finding again',
    decided_by String COMMENT 'who decided',
    reason String COMMENT 'why',
    decided_at DateTime64(6, 'UTC') COMMENT 'when; the latest of a settlement holds'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (settlement_id, decided_at)
COMMENT 'Which of several claims about a settlement is right, as a person decided. One row per decision; read it with FINAL. See masques rails claims.';
