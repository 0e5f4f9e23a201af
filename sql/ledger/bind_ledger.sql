-- Binds the warehouse to a ledger, unless it is bound like that already (the statement may be sent twice).
INSERT INTO masques_ops.ledger_binding
    (cluster_id, first_event_at, first_transfer_id, source, bound_at)
SELECT
    toUInt128({cluster_id:String}),
    fromUnixTimestamp64Nano({first_event_ns:Int64}, 'UTC'),
    toUUID({first_transfer_id:String}),
    {source:String},
    toDateTime64({bound_at:String}, 6, 'UTC')
WHERE
(
    SELECT count()
    FROM masques_ops.ledger_binding
    WHERE toUnixTimestamp64Nano(first_event_at) >= {first_event_ns:Int64}
) = 0
