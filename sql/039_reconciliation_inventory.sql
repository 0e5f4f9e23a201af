-- Notes and positions are counted by the inventory as they are written. What stood there before was written
-- at the time that it says.
ALTER TABLE masques_ops.break_notes ADD COLUMN IF NOT EXISTS ingested_at DateTime64(3, 'UTC') DEFAULT said_at
    COMMENT 'when the row was written into this warehouse';
ALTER TABLE masques_ops.positions ADD COLUMN IF NOT EXISTS ingested_at DateTime64(3, 'UTC') DEFAULT computed_at
    COMMENT 'when the row was written into this warehouse';
