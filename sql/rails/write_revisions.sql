-- Appends revisions to masques.settlements; `ids` are their settlements. An insert may be sent twice:
-- a revision that exists already is left out. That look-up is without skip indexes: see
-- current_by_id.sql.
INSERT INTO masques.settlements
(
    settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height, confirmations,
    from_account_id, to_address, status, failure_reason, network_fee, facilitator_fee, direction,
    revision, recorded_at, finality, block_hash, network, asset, payer, payment_ref, fee_currency,
    transaction_id, attributes
)
SELECT
    r.settlement_id, r.timestamp, r.rail, r.protocol, r.amount, r.currency, r.tx_hash,
    r.block_height, r.confirmations, r.from_account_id, r.to_address, r.status, r.failure_reason,
    r.network_fee, r.facilitator_fee, r.direction, r.revision, r.recorded_at, r.finality,
    r.block_hash, r.network, r.asset, r.payer, r.payment_ref, r.fee_currency, r.transaction_id,
    r.attributes
FROM input('
    settlement_id UUID, timestamp DateTime64(9, ''UTC''), rail String, protocol String,
    amount Decimal(76, 18), currency String, tx_hash String, block_height Nullable(UInt64),
    confirmations UInt32, from_account_id UUID, to_address String, status String,
    failure_reason String, network_fee Decimal(76, 18), facilitator_fee Decimal(76, 18),
    direction String, revision UInt32, recorded_at DateTime64(6, ''UTC''), finality String,
    block_hash String, network String, asset String, payer String, payment_ref String,
    fee_currency String, transaction_id Nullable(UUID), attributes Map(String, String)
') AS r
WHERE (r.settlement_id, r.revision) NOT IN
(
    SELECT s.settlement_id, s.revision
    FROM masques.settlements AS s
    WHERE s.settlement_id IN (SELECT toUUID(arrayJoin({ids:Array(String)})))
)
-- A table of months takes a hundred of them in one insert: a clock that jumps may write more.
SETTINGS use_skip_indexes = 0, max_partitions_per_insert_block = 0
