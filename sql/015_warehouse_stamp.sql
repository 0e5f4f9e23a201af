-- Whether this warehouse is the sandbox's, or a copy of a real ledger: the first row decides. Each
-- kind refuses the other, since demo rows and real rows could not be told apart afterwards.
CREATE TABLE IF NOT EXISTS masques_ops.warehouse_stamp
(
    kind LowCardinality(String) COMMENT 'sandbox or production',
    ledger String COMMENT 'of production: the ledger, for people; ledger_binding identifies it',
    stamped_at DateTime64(6, 'UTC') COMMENT 'when it was stamped',
    project_version String COMMENT 'version of this project that stamped it'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY stamped_at
COMMENT 'Whether this warehouse is the sandbox''s, or a copy of a real ledger.';
