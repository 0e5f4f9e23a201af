INSERT INTO masques_ops.break_notes
    (item_id, leg, state, class, at_risk, note, said_by, said_at, ingested_at)
SELECT item_id, leg, {state:String}, class, at_risk, {note:String}, {by:String},
    toDateTime64({said_at:String}, 6, 'UTC'), now64(3, 'UTC')
FROM masques_marts.breaks
WHERE item_id = {item_id:UUID} AND leg = {leg:String}
