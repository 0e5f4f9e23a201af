-- Payment channels of x402's batch-settlement: what was claimed of them, and what they hold.

-- What each transaction claimed. No token moves by it: what a channel has paid is the receiver's from
-- then on, and a sweep sends the sum of all claims. No retention: vouchers follow from it.
CREATE TABLE IF NOT EXISTS masques_ops.channel_claims
(
    rail LowCardinality(String) COMMENT 'base',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain',
    channel_id String COMMENT 'the channel, 32 bytes of hex',
    total_units UInt256 COMMENT 'what the channel has paid with this claim, in the token''s smallest unit',
    units UInt256 COMMENT 'how much of it this claim is',
    tx_hash String COMMENT 'transaction that claimed',
    block UInt64 COMMENT 'its block, which is final',
    block_hash String COMMENT 'hash of that block',
    time DateTime64(9, 'UTC') COMMENT 'time of that block',
    submitted_by String COMMENT 'who sent the transaction',
    network_fee Decimal(76, 18) COMMENT 'what the transaction cost, on its first claim; 0 on the others',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest wins',
    is_deleted UInt8 COMMENT '1 when the chain does not have it any more: FINAL leaves the row out'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at, is_deleted)
ORDER BY (rail, network, channel_id, total_units)
COMMENT 'Claims of payment channels, as the escrow contract logs them. Read it with FINAL.';

-- What the contract says of each channel. The latest row wins.
CREATE TABLE IF NOT EXISTS masques_ops.channels
(
    rail LowCardinality(String) COMMENT 'base',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain',
    channel_id String COMMENT 'the channel, 32 bytes of hex',
    payer String COMMENT 'whose money it holds',
    to_address String COMMENT 'who may claim it',
    asset String COMMENT 'token contract',
    currency LowCardinality(String) COMMENT 'asset as settlements.currency has it',
    balance Decimal(76, 18) COMMENT 'what was deposited, less what the payer took back; claims do not change it',
    claimed Decimal(76, 18) COMMENT 'what was claimed of it',
    claimed_units UInt256 COMMENT 'the same in the token''s smallest unit',
    withdrawing Decimal(76, 18) COMMENT 'what the payer has asked back and not taken yet',
    claim_until_s UInt64 COMMENT 'when the payer can take that, seconds since 1970; 0 when nothing was asked back',
    withdraw_delay_s UInt32 COMMENT 'how long the payer has to wait, from when it asks',
    block UInt64 COMMENT 'newest final block, that all but the withdrawal is of',
    read_at DateTime64(9, 'UTC') COMMENT 'time of that block',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when the row was written; the latest wins'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(recorded_at)
ORDER BY (rail, network, channel_id)
COMMENT 'Payment channels, as the escrow contract says they are. Read it with FINAL.';
