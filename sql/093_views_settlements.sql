-- Settlements, as the reputation model reads them.

-- The latest revision of each settlement, in the columns that reputation needs.
CREATE OR REPLACE VIEW masques_ops.settlements_newest AS
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
);
