-- What was written to each table, and when it was last compared with what is there.

CREATE TABLE IF NOT EXISTS masques_ops.inventory_writes
(
    table_name LowCardinality(String) COMMENT 'the table, as database.table',
    part LowCardinality(String) COMMENT 'which of the writers of the table; empty when it has one',
    write_id UUID COMMENT 'one run of a writer',
    begun_at DateTime64(3, 'UTC') COMMENT 'rows of the write have this ingested_at or a later one',
    restores Array(String) COMMENT 'buckets that had lost rows before the write: what it adds there was counted when it was first written',
    is_ended UInt8 COMMENT '1 once the rows of the write are counted; 0 while it runs, or when it was killed',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest of a write wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (table_name, part, write_id)
TTL toDate(recorded_at) + INTERVAL 1 YEAR DELETE WHERE is_ended = 1
COMMENT 'Runs that wrote to a table. One that is not ended is counted by the next: its rows are those since begun_at.';

CREATE TABLE IF NOT EXISTS masques_ops.inventory
(
    table_name LowCardinality(String) COMMENT 'the table, as database.table',
    bucket String COMMENT 'the day of the rows (2026-11-28), or of a table without time b00 to b63 by the hash of the key',
    part LowCardinality(String) COMMENT 'which of the writers of the table; empty when it has one',
    write_id UUID COMMENT 'the write; all zero for what was there when this table was made',
    rows Int64 COMMENT 'rows that the write added to the bucket; negative where a loss was accepted',
    digest UInt64 COMMENT 'sum of the hashes of these rows, modulo 2^64',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (table_name, bucket, part, write_id)
COMMENT 'What each write added to each day or bucket of a table. Sum it with FINAL, and compare with what is there. Days past the retention of the table are never compared.';

CREATE TABLE IF NOT EXISTS masques_ops.inventory_checks
(
    table_name LowCardinality(String) COMMENT 'the table, as database.table',
    what LowCardinality(String) COMMENT 'content: the rows of a bucket; bytes: the files of a partition',
    bucket String COMMENT 'the bucket, or the partition',
    finding String COMMENT 'what is wrong; empty when nothing is',
    checked_at DateTime64(6, 'UTC') COMMENT 'when it was read; the latest of a bucket counts'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(checked_at)
ORDER BY (table_name, what, bucket)
TTL toDate(checked_at) + INTERVAL 1 YEAR
COMMENT 'When each bucket of each table was last read and compared, and what was found.';

CREATE TABLE IF NOT EXISTS masques_ops.inventory_accepted
(
    table_name LowCardinality(String) COMMENT 'the table, as database.table',
    accepted_by String COMMENT 'who decided',
    reason String COMMENT 'why, in words',
    findings Array(String) COMMENT 'what was wrong with the table at that time',
    accepted_at DateTime64(6, 'UTC') COMMENT 'when; mutations of the table up to then are accepted too'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (table_name, accepted_at)
COMMENT 'Losses and changes that somebody accepted: since then a table is compared with what it had at that time.';

-- Finds the rows of a write without reading the whole table, as 017 does for the tables of the intake.
ALTER TABLE masques.settlements ADD INDEX IF NOT EXISTS ingested_at_range ingested_at TYPE minmax GRANULARITY 1;
