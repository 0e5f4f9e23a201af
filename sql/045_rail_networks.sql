-- Several networks of one kind of rail, and several nodes of one network.

-- A cursor is of a node: Lightning's indexes are each node's own. The cursors of before are of the only
-- node of their network.
ALTER TABLE masques_ops.rail_cursors
    ADD COLUMN IF NOT EXISTS node String
    COMMENT 'what tells several nodes of one network apart, as the settings name them; empty for the only one'
    AFTER network,
    MODIFY ORDER BY (rail, network, node);

ALTER TABLE masques_ops.rail_runs
    ADD COLUMN IF NOT EXISTS node LowCardinality(String)
    COMMENT 'what tells several nodes of one network apart, as the settings name them; empty for the only one'
    AFTER network;

ALTER TABLE masques_ops.rail_runs
    ADD COLUMN IF NOT EXISTS name LowCardinality(String)
    COMMENT 'what the settings call the network or node; empty in rows of before'
    AFTER node;

ALTER TABLE masques_ops.settlement_findings
    ADD COLUMN IF NOT EXISTS network LowCardinality(String)
    COMMENT 'CAIP-2 id of the chain; empty in rows of before'
    AFTER rail;

ALTER TABLE masques.settlements COMMENT COLUMN rail
    'lightning, solana or base; base means any EVM network: see network';
ALTER TABLE masques_ops.rail_cursors COMMENT COLUMN rail
    'base, solana, lightning or journal; base means any EVM network: see network';
ALTER TABLE masques_ops.rail_runs COMMENT COLUMN rail
    'lightning, solana, base or journal; base means any EVM network: see network';
ALTER TABLE masques_ops.rail_balances COMMENT COLUMN rail
    'lightning, solana or base; base means any EVM network: see network';
ALTER TABLE masques_ops.settlement_findings COMMENT COLUMN rail
    'lightning, solana or base; base means any EVM network: see network';
ALTER TABLE masques_ops.payer_addresses COMMENT COLUMN rail
    'lightning, solana or base; base means any EVM network: an address is one owner''s on all of them';
