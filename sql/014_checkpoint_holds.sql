-- The open holds can then be listed from the checkpoint alone, without reading each hold's event.
ALTER TABLE masques_ops.checkpoint_holds
    ADD COLUMN IF NOT EXISTS code UInt16
    COMMENT 'transfer code of the hold in TigerBeetle; 0 in rows of before the column, whose hold is read from masques.transactions';
