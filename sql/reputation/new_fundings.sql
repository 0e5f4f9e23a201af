-- The next parties, oldest first, whose first funding came in and is not written down: who funded them
-- and when, and the cluster of that funder if it was itself funded before. A deposit from a rail is funded
-- by the wallet that paid. Purchases, fees, refunds and payouts fund nobody; neither does the platform.
WITH
    {since:DateTime64(6, 'UTC')} AS since,
    (SELECT m.lists FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS lists,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    came_in AS (SELECT n.settlement_id FROM masques.settlements AS n WHERE n.ingested_at >= since),
    funded AS
    (
        SELECT payee.party_id AS party_id, payer.party_id AS funder_id, t.timestamp AS at
        FROM masques.transactions AS t
        INNER JOIN masques_ops.account_owners AS payer ON payer.account_id = t.debit_account_id
        INNER JOIN masques_ops.account_owners AS payee ON payee.account_id = t.credit_account_id
        WHERE t.ingested_at >= since AND NOT has([nobody, party_id], funder_id)
            AND t.event_type IN ('single_phase', 'two_phase_posted')
            AND NOT has(lists['purchase_types'], t.transaction_type)
            AND NOT has(lists['other_unfunding_types'], t.transaction_type)
        UNION ALL
        SELECT if(payer.party_id = nobody, payee.party_id, payer.party_id),
            reinterpretAsUUID(sipHash128(lower(s.payer))), s.timestamp
        FROM masques_ops.settlements_newest AS s
        INNER JOIN masques.transactions AS t ON t.transaction_id = s.transaction_id
        INNER JOIN masques_ops.account_owners AS payer ON payer.account_id = t.debit_account_id
        INNER JOIN masques_ops.account_owners AS payee ON payee.account_id = t.credit_account_id
        WHERE s.status = 'confirmed' AND s.direction = 'in' AND s.payer != ''
            AND s.settlement_id IN came_in AND t.transaction_id IN
                (SELECT n.transaction_id FROM masques.settlements AS n WHERE n.settlement_id IN came_in)
    ),
    first AS
    (
        SELECT f.party_id AS party_id, argMin(f.funder_id, f.at) AS funder_id,
            min(toUnixTimestamp64Nano(f.at)) AS funded_at_ns
        FROM funded AS f
        WHERE f.party_id != nobody AND f.party_id NOT IN (SELECT party_id FROM masques_ops.payer_clusters)
        GROUP BY party_id
    )
SELECT
    f.party_id, f.funder_id, f.funded_at_ns, k.cluster_id,
    k.party_id = f.funder_id AND k.funded_at_ns < f.funded_at_ns AS is_funder_funded_before
FROM first AS f
LEFT ANY JOIN masques_ops.payer_clusters AS k ON k.party_id = f.funder_id
ORDER BY f.funded_at_ns, f.party_id
LIMIT {page_rows:UInt32}
