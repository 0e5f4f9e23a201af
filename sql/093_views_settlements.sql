-- Settlements, as the reputation model reads them.

-- The latest revision of each settlement, in the columns that reputation needs.
CREATE OR REPLACE VIEW masques_ops.settlements_newest
(
    settlement_id UUID COMMENT 'uuid5 of the payment''s own identity on its rail',
    timestamp DateTime64(9, 'UTC') COMMENT 'time of the fact: block, settle, or intent',
    status String COMMENT 'pending, confirmed, failed, unknown, superseded, off_chain, claimable or not_followed: see docs/rails.md',
    direction String COMMENT 'in or out',
    payer String COMMENT 'address that pays, EVM addresses in lower case; empty when unknown',
    transaction_id UUID COMMENT 'the first ledger transfer of masques_ops.settlement_links; the zero UUID for none'
)
AS
SELECT
    settlement_id,
    newest.1 AS timestamp,
    newest.2 AS status,
    newest.3 AS direction,
    newest.4 AS payer,
    newest.5 AS transaction_id
FROM
(
    SELECT
        settlement_id,
        argMax(
            (s.timestamp, toString(s.status), toString(s.direction), s.payer,
                ifNull(s.transaction_id, toUUID('00000000-0000-0000-0000-000000000000'))),
            (s.revision, s.recorded_at)) AS newest
    FROM masques.settlements AS s
    GROUP BY settlement_id
)
COMMENT 'The latest revision of each settlement, in the columns that reputation needs.';
