-- Tables of the project as a whole: the log of the schema, what this warehouse is a copy of, quarantine.

-- The log of `masques migrate`: one row when a file is begun, one when it is done. The view files (090 and
-- up) are one entry together, version 90. The runner makes this table before any file is applied, from
-- this very statement; it must stay the first.
CREATE TABLE IF NOT EXISTS masques_ops.schema_migrations
(
    version UInt16 COMMENT 'number of the file; 90 for all view files together',
    name String COMMENT 'the file',
    checksum String COMMENT 'SHA-256 of the file, hex',
    state LowCardinality(String) COMMENT 'started or applied',
    project_version String COMMENT 'version of this project that applied it',
    views_version UInt32 COMMENT 'of the view files, from sql/schema.json; grows with each change of them; 0 for a numbered file',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY (version, recorded_at)
COMMENT 'The log of masques migrate: one row when a file is begun, one when it is applied.';

-- What this warehouse holds: the sandbox's invented data, or real data. The first row decides, and is
-- written before any row of `masques`; each kind refuses the other. A second row only adds the name
-- of a ledger that was configured later.
CREATE TABLE IF NOT EXISTS masques_ops.warehouse_stamp
(
    kind LowCardinality(String) COMMENT 'sandbox or production',
    ledger String COMMENT 'of production: the ledger, for people; ledger_binding identifies it',
    stamped_at DateTime64(6, 'UTC') COMMENT 'when the row was written',
    project_version String COMMENT 'version of this project that wrote the stamp'
)
ENGINE = /*cluster:Replicated*/MergeTree
ORDER BY stamped_at
COMMENT 'What this warehouse holds: the invented data of the sandbox, or the copy of one ledger. One row; each kind refuses the other.';

-- Rows that could not be loaded, with the reason, kept until they are replayed or discarded. A
-- change of state is a new row with a later updated_at; read it with FINAL.
CREATE TABLE IF NOT EXISTS masques_ops.quarantine
(
    table_name LowCardinality(String) COMMENT 'where the row was meant to go',
    source String COMMENT 'the file, or what else brought it',
    line_no UInt64 COMMENT '1 and up; 0 for a whole file',
    reason LowCardinality(String) COMMENT 'kind:field, as in bad_uuid:request_id',
    raw String COMMENT 'the row as it came',
    first_seen DateTime64(3, 'UTC') COMMENT 'when the row was first refused',
    attempts UInt32 COMMENT 'how often it was tried',
    state LowCardinality(String) COMMENT 'open, replayed or discarded',
    updated_at DateTime64(6, 'UTC') COMMENT 'when this version of the row was written; the latest wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(updated_at)
ORDER BY (table_name, source, line_no)
COMMENT 'Rows that could not be loaded, with the reason, kept until they are replayed or discarded. Read it with FINAL.';
