-- Where a key is found again: the key and the time of every row that the intake loads.
--
-- A batch is compared with what its table holds. The tables are ordered by time, so a key alone was
-- looked for in all of them. These are ordered by key, and say at which time in its table the row is.
--
-- A key is written here before its row is written there. A kill between the two leaves a key without
-- a row, which the next run sees, since it looks at the row for its content: it loads it. The other
-- order would leave a row without its key, and load it twice.
--
-- Keys are kept as long as their rows: an older row is refused as past_retention, whatever its key.

CREATE TABLE IF NOT EXISTS masques_ops.api_requests_key_times
(
    key_high UInt64 DEFAULT toUInt64(bitShiftRight(toUInt128(row_key), 64)) CODEC(NONE)
        COMMENT 'first half of the key, which is quicker to compare; ids that begin with a time are found together',
    row_key UUID CODEC(NONE) COMMENT 'key of the row, as in masques_ops.api_requests_keys',
    event_at DateTime64(9, 'UTC') COMMENT 'where to look for the row: timestamp in masques.api_requests'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(event_at)
ORDER BY (key_high, row_key, event_at)
TTL toDate(event_at) + INTERVAL 1 YEAR
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1
COMMENT 'Key and time of every row of masques.api_requests, in the order of the keys: the intake finds there what it has loaded. A key may be here more than once, or without a row.';

INSERT INTO masques_ops.api_requests_key_times (row_key, event_at)
SELECT request_id, timestamp FROM masques.api_requests;

CREATE TABLE IF NOT EXISTS masques_ops.reputation_events_key_times
(
    key_high UInt64 DEFAULT toUInt64(bitShiftRight(toUInt128(row_key), 64)) CODEC(NONE)
        COMMENT 'first half of the key, which is quicker to compare; ids that begin with a time are found together',
    row_key UUID CODEC(NONE) COMMENT 'key of the row, as in masques_ops.reputation_events_keys',
    event_at DateTime64(9, 'UTC') COMMENT 'where to look for the row: timestamp in masques.reputation_events'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(event_at)
ORDER BY (key_high, row_key, event_at)
TTL toDate(event_at) + INTERVAL 3 YEAR
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1
COMMENT 'Key and time of every row of masques.reputation_events, in the order of the keys: the intake finds there what it has loaded. A key may be here more than once, or without a row.';

INSERT INTO masques_ops.reputation_events_key_times (row_key, event_at)
SELECT event_id, timestamp FROM masques.reputation_events;

CREATE TABLE IF NOT EXISTS masques_ops.masque_sessions_key_times
(
    key_high UInt64 DEFAULT toUInt64(bitShiftRight(toUInt128(row_key), 64)) CODEC(NONE)
        COMMENT 'first half of the key, which is quicker to compare; ids that begin with a time are found together',
    row_key UUID CODEC(NONE) COMMENT 'key of the row, as in masques_ops.masque_sessions_keys',
    event_at DateTime64(9, 'UTC') COMMENT 'where to look for the row: donned_at in masques.masque_sessions'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
PARTITION BY toYYYYMM(event_at)
ORDER BY (key_high, row_key, event_at)
TTL toDate(event_at) + INTERVAL 2 YEAR
SETTINGS index_granularity = 1024, ttl_only_drop_parts = 1
COMMENT 'Key and time of every row of masques.masque_sessions, in the order of the keys: the intake finds there what it has loaded. A key may be here more than once, or without a row.';

INSERT INTO masques_ops.masque_sessions_key_times (row_key, event_at)
SELECT reinterpretAsUUID(sipHash128(session_id, toString(report))), donned_at FROM masques.masque_sessions;

CREATE TABLE IF NOT EXISTS masques_ops.identities_key_times
(
    key_high UInt64 DEFAULT toUInt64(bitShiftRight(toUInt128(row_key), 64)) CODEC(NONE)
        COMMENT 'first half of the key, which is quicker to compare; ids that begin with a time are found together',
    row_key UUID CODEC(NONE) COMMENT 'key of the row, as in masques_ops.identities_keys',
    event_at DateTime64(9, 'UTC') COMMENT 'where to look for the row: updated_at in masques_ops.identity_versions'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (key_high, row_key, event_at)
SETTINGS index_granularity = 1024
COMMENT 'Key and time of every row of masques_ops.identity_versions, in the order of the keys: the intake finds there what it has loaded. A key may be here more than once, or without a row.';

INSERT INTO masques_ops.identities_key_times (row_key, event_at)
SELECT reinterpretAsUUID(sipHash128(identity_id, updated_at)), updated_at FROM masques_ops.identity_versions;

-- Which rows came since a batch began, to see that each is there, once: granules of before are skipped.
ALTER TABLE masques.api_requests ADD INDEX IF NOT EXISTS ingested_at_range ingested_at TYPE minmax GRANULARITY 1;
ALTER TABLE masques.api_requests MATERIALIZE INDEX ingested_at_range;
ALTER TABLE masques.reputation_events ADD INDEX IF NOT EXISTS ingested_at_range ingested_at TYPE minmax GRANULARITY 1;
ALTER TABLE masques.reputation_events MATERIALIZE INDEX ingested_at_range;
ALTER TABLE masques.masque_sessions ADD INDEX IF NOT EXISTS ingested_at_range ingested_at TYPE minmax GRANULARITY 1;
ALTER TABLE masques.masque_sessions MATERIALIZE INDEX ingested_at_range;
ALTER TABLE masques_ops.identity_versions ADD INDEX IF NOT EXISTS ingested_at_range ingested_at TYPE minmax GRANULARITY 1;
ALTER TABLE masques_ops.identity_versions MATERIALIZE INDEX ingested_at_range;

-- Rows that may be those of the batch's keys. Written before each batch is compared.
CREATE TABLE IF NOT EXISTS masques_ops.intake_candidates
(
    row_key UUID COMMENT 'key of the row',
    event_at DateTime64(9, 'UTC') COMMENT 'where in the table it may be'
)
ENGINE = Memory
COMMENT 'Keys of the batch that were loaded before, or were about to be. Kept in memory while a batch is loaded.';

-- When a folder of the landing zone was looked through last, with the folders of older days.
CREATE TABLE IF NOT EXISTS masques_ops.intake_listings
(
    folder LowCardinality(String) COMMENT 'folder of the landing zone: the table',
    listed_at DateTime64(6, 'UTC') COMMENT 'when all of it was listed, and all that was due was read; the latest row wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(listed_at)
ORDER BY folder
COMMENT 'When each folder of the landing zone was last listed as a whole, with folders of older days. Read it with FINAL.';
