-- Who said it: every row that is loaded knows its channel.
--
-- A channel is a landing folder or prefix (MASQUES_LANDING_CHANNELS), the pipeline itself, or a
-- DataFrame. Rows of before this file have an empty channel: who delivered them was not recorded.

ALTER TABLE masques.identities
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String)
    COMMENT 'who delivered the row: see masques_ops.landing_channels; empty when that is not known';
ALTER TABLE masques_ops.identity_versions
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String)
    COMMENT 'who delivered the row: see masques_ops.landing_channels; empty when that is not known';
ALTER TABLE masques.masque_sessions
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String)
    COMMENT 'who delivered the row: see masques_ops.landing_channels; empty when that is not known';
ALTER TABLE masques.api_requests
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String)
    COMMENT 'who delivered the row: see masques_ops.landing_channels; empty when that is not known';
ALTER TABLE masques.reputation_events
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String)
    COMMENT 'who delivered the row: see masques_ops.landing_channels; pipeline for its own signals; empty when that is not known';

-- The staged tables have the columns of their tables in the same order, but for ingested_at.
ALTER TABLE masques_ops.identities_staged
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';
ALTER TABLE masques_ops.identities_staged_next
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';
ALTER TABLE masques_ops.masque_sessions_staged
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';
ALTER TABLE masques_ops.masque_sessions_staged_next
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';
ALTER TABLE masques_ops.api_requests_staged
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';
ALTER TABLE masques_ops.api_requests_staged_next
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';
ALTER TABLE masques_ops.reputation_events_staged
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';
ALTER TABLE masques_ops.reputation_events_staged_next
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'who delivered the row';

-- What MASQUES_LANDING_CHANNELS said, and since when. A channel that it no longer names gets a last
-- row that allows nothing.
CREATE TABLE IF NOT EXISTS masques_ops.landing_channels
(
    channel LowCardinality(String) COMMENT 'name of the channel, as rows have it',
    attests UInt8 COMMENT '1 when what it says of others counts as attested; 0 otherwise',
    tables Array(String) COMMENT 'the tables that it may write, sorted',
    prefixes Array(String) COMMENT 'where in the landing zone it delivers, sorted; an empty one is all of it',
    recorded_at DateTime64(6, 'UTC') COMMENT 'since when that holds; the latest row of a channel wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (channel, recorded_at)
COMMENT 'Who may deliver which tables to the landing zone, and whose word counts as attested. One row per change of a channel. The channels pipeline (its own signals) and frame (a DataFrame) have no row.';
