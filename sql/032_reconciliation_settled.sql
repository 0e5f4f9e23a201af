-- What settlements brought, as a full comparison counted it: what came since is added to it, so that no
-- position groups all settlements again.
CREATE TABLE IF NOT EXISTS masques_ops.settled_sums
(
    counted_to DateTime64(3, 'UTC') COMMENT 'the latest revision counts of those that were written before this time',
    currency LowCardinality(String) COMMENT 'asset as settlements.currency has it',
    settled Decimal(76, 18) COMMENT 'sum of the confirmed settlements, less those that went out',
    settlements UInt64 COMMENT 'settlements in that asset, whatever their status'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (counted_to, currency)
TTL toDate(counted_to) + INTERVAL 30 DAY
COMMENT 'Sums of settlements by asset. Only those of the newest counted_to are used. Written by reconciliation alone.';
