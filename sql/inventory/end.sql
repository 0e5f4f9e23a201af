INSERT INTO masques_ops.inventory_writes (table_name, part, write_id, begun_at, is_ended, recorded_at)
SELECT {table:String}, {part:String}, {write_id:UUID}, toDateTime64({begun_at:String}, 3, 'UTC'), 1,
    now64(6, 'UTC')
