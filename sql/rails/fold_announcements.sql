-- Marks announcements as superseded whose money the chain records as another settlement: see the view
-- masques_ops.announcements_recorded.
-- Without skip indexes: see current_by_id.sql.
INSERT INTO masques.settlements
    (settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes)
SELECT
    a.settlement_id, a.timestamp, a.rail, a.protocol, a.amount, a.currency, a.tx_hash,
    a.block_height, a.confirmations, a.from_account_id, a.to_address, 'superseded' AS status,
    '' AS failure_reason, a.network_fee, a.facilitator_fee, a.direction, a.revision + 1 AS revision,
    toDateTime64({recorded_at:String}, 6, 'UTC') AS recorded_at, a.finality, a.block_hash,
    a.network, a.asset, a.payer, a.payment_ref, a.fee_currency,
    CAST(NULL, 'Nullable(UUID)') AS transaction_id,
    mapUpdate(a.attributes, map('superseded_by', toString(m.settlement_id))) AS attributes
FROM masques_marts.settlements_current AS a
INNER JOIN masques_ops.announcements_recorded AS m ON m.announced_id = a.settlement_id
-- A table of months takes a hundred of them in one insert: a clock that jumps may write more.
SETTINGS use_skip_indexes = 0, max_partitions_per_insert_block = 0
