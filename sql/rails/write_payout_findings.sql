-- Findings of payouts that no transfer of their transaction fits. Each is written once.
INSERT INTO masques_ops.settlement_findings (settlement_id, kind, detail, rail, network, revision, found_at)
WITH
    announced AS
    (
        SELECT *
        FROM masques_marts.settlements_current
        WHERE finality = '' AND direction = 'out' AND tx_hash != '' AND status IN ('pending', 'unknown')
            AND settlement_id IN (SELECT settlement_id FROM masques_ops.settlement_claims)
    ),
    paid AS
    (
        SELECT *
        FROM masques_marts.settlements_current
        WHERE finality != '' AND direction = 'out' AND status = 'confirmed'
            AND tx_hash IN (SELECT tx_hash FROM announced)
    ),
    found AS
    (
        SELECT
            p.settlement_id AS settlement_id,
            'claim_disagrees' AS kind,
            concat('not linked: the payout line names ', toString(p.amount), ' ', p.currency, ' to ',
                p.to_address, ', and its transaction ', p.tx_hash, ' paid ', arrayStringConcat(
                    arraySort(groupUniqArray(concat(toString(c.amount), ' ', c.currency, ' to ',
                        if(c.to_address = '', 'several receivers', c.to_address)))), ', ')) AS detail,
            p.rail AS rail,
            p.network AS network
        FROM announced AS p
        INNER JOIN paid AS c ON c.rail = p.rail AND c.network = p.network AND c.tx_hash = p.tx_hash
        GROUP BY p.settlement_id, p.amount, p.currency, p.to_address, p.tx_hash, p.rail, p.network, p.asset
        HAVING countIf(c.asset = p.asset AND c.to_address = p.to_address AND c.amount = p.amount) = 0
    )
SELECT settlement_id, kind, detail, rail, network, 0, toDateTime64({recorded_at:String}, 6, 'UTC')
FROM found
WHERE (settlement_id, kind, detail) NOT IN
(
    SELECT settlement_id, kind, detail FROM masques_ops.settlement_findings FINAL
)
