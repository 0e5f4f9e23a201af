-- What there is to link: a statement over nothing costs its planning, half a second for all four.
SELECT
    countIf(from_account_id = toUUID({unattributed:String}) AND status != 'superseded') AS unattributed,
    countIf(finality = '' AND tx_hash != '' AND status IN ('pending', 'unknown')) AS announced,
    (SELECT count() FROM (SELECT settlement_id FROM masques_ops.settlement_claims LIMIT 1)) AS claims,
    (SELECT count() FROM (SELECT settlement_id FROM masques_ops.settlement_links LIMIT 1)) AS links,
    (SELECT count() FROM (SELECT address FROM masques_ops.payer_addresses LIMIT 1)) AS addresses
FROM masques_marts.settlements_current
