-- What operators did to the copy: who, what, why, and how it ended.
CREATE TABLE IF NOT EXISTS masques_ops.operator_log
(
    done_at DateTime64(6, 'UTC') COMMENT 'when it ended',
    action LowCardinality(String) COMMENT 'rebuild month, rewind rail, replay quarantine, discard quarantine, reload table, recompute scores or back up',
    subject String COMMENT 'what it was done to: a month, a rail, a table, or a selection of quarantine',
    done_by String COMMENT 'who did it, as they say; empty when they did not',
    reason String COMMENT 'why, in words',
    outcome String COMMENT 'what came of it',
    run_id String COMMENT 'the run of Dagster; empty for a command'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (done_at, action, subject)
TTL toDate(done_at) + INTERVAL 7 YEAR
COMMENT 'What operators did to the copy: one row per action, never changed.';
