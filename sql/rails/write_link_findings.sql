-- Findings of claims that contradict each other, or the chain after it decided. Each is written once.
INSERT INTO masques_ops.settlement_findings (settlement_id, kind, detail, rail, revision, found_at)
WITH
    claims AS
    (
        SELECT settlement_id, rail, status, transaction_ids, claimed_hash, tx_hash, is_proved
        FROM masques_ops.settlement_claims_now
    ),
    -- Payouts that no transfer of their transaction fits.
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
            c.settlement_id AS settlement_id,
            'claims_disagree' AS kind,
            concat(
                multiIf(
                    any(d.decision) = 'linked',
                    concat('linked to ', arrayStringConcat(any(d.transaction_ids), ' and '), ' by decision'),
                    any(d.decision) = 'none', 'not linked by decision',
                    'not linked'),
                ': different lines name the ledger transfers ', arrayStringConcat(
                    arraySort(groupUniqArray(arrayStringConcat(c.transaction_ids, ' and '))), ', or ')) AS detail,
            any(c.rail) AS rail
        FROM claims AS c
        LEFT JOIN masques_ops.claim_decisions_now AS d ON d.settlement_id = c.settlement_id
        WHERE c.is_proved
        GROUP BY c.settlement_id
        HAVING uniqExact(c.transaction_ids) > 1
            -- What was known when it was decided is said already.
            AND NOT hasAll(any(d.claims), groupUniqArray(c.transaction_ids))
        UNION ALL
        SELECT
            settlement_id,
            'claim_disagrees',
            concat('not linked to ', arrayStringConcat(transaction_ids, ' and '),
                if(claimed_hash = tx_hash, ': the line names other money than the transaction moved: ',
                    concat(': the answer names ', if(claimed_hash = '', 'no transaction', claimed_hash),
                        ', the chain has ')),
                if(tx_hash = '', 'none', tx_hash)),
            rail
        FROM claims
        WHERE NOT is_proved AND status IN ('confirmed', 'failed')
        UNION ALL
        SELECT
            p.settlement_id,
            'claim_disagrees',
            concat('not linked: the payout line names ', toString(p.amount), ' ', p.currency, ' to ',
                p.to_address, ', and its transaction ', p.tx_hash, ' paid ', arrayStringConcat(
                    arraySort(groupUniqArray(concat(toString(c.amount), ' ', c.currency, ' to ',
                        if(c.to_address = '', 'several receivers', c.to_address)))), ', ')),
            p.rail
        FROM announced AS p
        INNER JOIN paid AS c ON c.rail = p.rail AND c.network = p.network AND c.tx_hash = p.tx_hash
        GROUP BY p.settlement_id, p.amount, p.currency, p.to_address, p.tx_hash, p.rail, p.asset
        HAVING countIf(c.asset = p.asset AND c.to_address = p.to_address AND c.amount = p.amount) = 0
    )
SELECT settlement_id, kind, detail, rail, 0, toDateTime64({recorded_at:String}, 6, 'UTC')
FROM found
WHERE (settlement_id, kind, detail) NOT IN
(
    SELECT settlement_id, kind, detail FROM masques_ops.settlement_findings FINAL
)
