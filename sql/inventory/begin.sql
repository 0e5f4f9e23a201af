-- A write begins. Rows of the write before are older: it was ended at least a millisecond ago.
INSERT INTO masques_ops.inventory_writes (table_name, part, write_id, begun_at, restores, is_ended, recorded_at)
SELECT
    {table:String}, {part:String}, {write_id:UUID}, toDateTime64({begun_at:String}, 3, 'UTC'), {restores:Array(String)}, 0,
    now64(6, 'UTC')
