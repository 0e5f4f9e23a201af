-- The next parties, oldest first, whose first funding is not written down: who funded them and when,
-- and the cluster of that funder if it was itself funded before.
--
-- Money for something, fees, refunds and payouts fund nobody, and neither does the platform.
WITH
    (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS model,
    owners AS
    (
        SELECT account_id, party_id
        FROM masques_ops.account_owners
        WHERE NOT has(model.platform_account_types, account_type)
    ),
    fundings AS
    (
        SELECT
            payee.party_id AS party_id,
            argMin(payer.party_id, t.timestamp) AS funder_id,
            min(toUnixTimestamp64Nano(t.timestamp)) AS funded_at_ns
        FROM masques.transactions AS t
        INNER JOIN owners AS payer ON payer.account_id = t.debit_account_id
        INNER JOIN owners AS payee ON payee.account_id = t.credit_account_id
        WHERE t.event_type IN ('single_phase', 'two_phase_posted')
            AND NOT has(model.purchase_types, t.transaction_type)
            AND NOT has(model.other_unfunding_types, t.transaction_type)
            AND payer.party_id != payee.party_id
        GROUP BY party_id
    )
SELECT
    f.party_id,
    f.funder_id,
    f.funded_at_ns,
    k.cluster_id,
    k.party_id = f.funder_id AND k.funded_at_ns < f.funded_at_ns AS is_funder_funded_before
FROM fundings AS f
LEFT ANY JOIN masques_ops.payer_clusters AS k ON k.party_id = f.funder_id
WHERE f.party_id NOT IN (SELECT party_id FROM masques_ops.payer_clusters)
ORDER BY f.funded_at_ns, f.party_id
LIMIT {page_rows:UInt32}
