-- Closes announcements that nobody settled: a verification or a refused request whose deadline is past
-- what its rail has read to its finality. The rail saw no payment, and absence is not a failure: they
-- are unknown, and nobody looks at them again before something new is seen. Not on a rail that can tell
-- an expired payment by itself (`decided_by_rail`).
-- Without skip indexes: see current_by_id.sql.
INSERT INTO masques.settlements
    (settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes)
WITH read AS
(
    SELECT rail AS read_rail, network AS read_network, toUnixTimestamp64Second(assumeNotNull(read_to)) AS read_to_s
    FROM masques_ops.rail_cursors FINAL
    WHERE read_to IS NOT NULL AND rail NOT IN {decided_by_rail:Array(String)}
)
SELECT
    s.settlement_id, s.timestamp, s.rail, s.protocol, s.amount, s.currency, s.tx_hash, s.block_height,
    s.confirmations, s.from_account_id, s.to_address, 'unknown' AS status,
    'not_seen_until_deadline' AS failure_reason, s.network_fee, s.facilitator_fee, s.direction,
    s.revision + 1 AS revision, toDateTime64({recorded_at:String}, 6, 'UTC') AS recorded_at,
    s.finality, s.block_hash, s.network, s.asset, s.payer, s.payment_ref, s.fee_currency,
    s.transaction_id, mapUpdate(s.attributes, map('closed', 'not_seen_until_deadline')) AS attributes
FROM masques_marts.settlements_current AS s
INNER JOIN read AS r ON r.read_rail = s.rail AND r.read_network = s.network
WHERE s.status IN ('pending', 'unknown') AND s.finality = '' AND s.tx_hash = ''
    AND s.attributes['closed'] = '' AND s.attributes['answer'] IN ('verified', 'refused')
    AND toUInt256OrZero(s.attributes['deadline_s']) > 0
    AND toUInt256OrZero(s.attributes['deadline_s']) < toUInt256(greatest(r.read_to_s, 0))
SETTINGS use_skip_indexes = 0
