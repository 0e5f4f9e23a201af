-- Findings of claims that contradict each other, or the chain after it decided. Each is written once.
INSERT INTO masques_ops.settlement_findings (settlement_id, kind, detail, rail, revision, found_at)
WITH
    claims AS
    (
        SELECT settlement_id, rail, status, transaction_ids, claimed_hash, tx_hash, is_proved
        FROM masques_ops.settlement_claims_now
    ),
    found AS
    (
        SELECT
            settlement_id,
            'claims_disagree' AS kind,
            concat('not linked: different lines name the ledger transfers ', arrayStringConcat(
                arraySort(groupUniqArray(arrayStringConcat(transaction_ids, ' and '))), ', or ')) AS detail,
            any(rail) AS rail
        FROM claims
        WHERE is_proved
        GROUP BY settlement_id
        HAVING uniqExact(transaction_ids) > 1
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
    )
SELECT settlement_id, kind, detail, rail, 0, toDateTime64({recorded_at:String}, 6, 'UTC')
FROM found
WHERE (settlement_id, kind, detail) NOT IN
(
    SELECT settlement_id, kind, detail FROM masques_ops.settlement_findings FINAL
)
