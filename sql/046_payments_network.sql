-- The network of a payment's settlements beside their rail. It is no part of `content`: what was compared
-- before is not written anew because of it.

ALTER TABLE masques_ops.payments_rail
    ADD COLUMN IF NOT EXISTS network LowCardinality(String)
    COMMENT 'network of the settlement with that rail'
    AFTER rail;

ALTER TABLE masques_ops.payments_log
    ADD COLUMN IF NOT EXISTS rail_network LowCardinality(String)
    COMMENT 'network of its settlements, CAIP-2 id; empty for none, and in rows of before'
    AFTER rail_name;

ALTER TABLE masques_ops.payments_said
    ADD COLUMN IF NOT EXISTS rail_network LowCardinality(String)
    COMMENT 'network of its settlements, CAIP-2 id; empty for none'
    AFTER rail_name;

ALTER TABLE masques_ops.breaks_log
    ADD COLUMN IF NOT EXISTS rail_network LowCardinality(String)
    COMMENT 'network of its settlements, CAIP-2 id; empty for none, and in rows of before'
    AFTER rail_name;

ALTER TABLE masques_ops.payments_log COMMENT COLUMN content
    'hash of all columns but sign, known_from and rail_network';
ALTER TABLE masques_ops.payments_said COMMENT COLUMN content
    'hash of all columns but sign, known_from and rail_network';
