-- An address may be of one owner on one EVM network and of another on the next: a contract wallet need not
-- be there, or be somebody else's. Without a network an entry is of all networks of its rail, as entries
-- of before are; one of a network comes first there.
ALTER TABLE masques_ops.payer_addresses
    ADD COLUMN IF NOT EXISTS network LowCardinality(String)
    COMMENT 'CAIP-2 id of the network that it is of; empty for all networks of the rail'
    AFTER rail,
    MODIFY ORDER BY (rail, address, valid_from, network);

ALTER TABLE masques_ops.payer_addresses
    COMMENT COLUMN rail 'lightning, solana or base; base means any EVM network: see network';
