-- Findings of claims that contradict each other, or the chain after it decided. Each is written once.
INSERT INTO masques_ops.settlement_findings (settlement_id, kind, detail, rail, network, revision, found_at)
SELECT settlement_id, finding.1 AS kind, finding.2 AS detail, rail, network, 0, toDateTime64({recorded_at:String}, 6, 'UTC')
FROM
(
    SELECT
        c.settlement_id AS settlement_id,
        any(c.rail) AS rail,
        any(c.network) AS network,
        groupUniqArrayIf(c.transaction_ids, c.is_proved) AS proved,
        arrayJoin(arrayConcat(
            -- What was known when it was decided is said already.
            if(length(proved) > 1 AND NOT hasAll(any(d.claims), proved),
                [('claims_disagree', concat(
                    multiIf(
                        any(d.decision) = 'linked',
                        concat('linked to ', arrayStringConcat(any(d.transaction_ids), ' and '), ' by decision'),
                        any(d.decision) = 'none', 'not linked by decision',
                        'not linked'),
                    ': different lines name the ledger transfers ', arrayStringConcat(
                        arraySort(arrayMap(ids -> arrayStringConcat(ids, ' and '), proved)), ', or ')))],
                []),
            arrayMap(said -> ('claim_disagrees', said), groupUniqArrayIf(
                concat('not linked to ', arrayStringConcat(c.transaction_ids, ' and '),
                    if(c.claimed_hash = c.tx_hash, ': the line names other money than the transaction moved: ',
                        concat(': the answer names ', if(c.claimed_hash = '', 'no transaction', c.claimed_hash),
                            ', the chain has ')),
                    if(c.tx_hash = '', 'none', c.tx_hash)),
                NOT c.is_proved AND c.status IN ('confirmed', 'failed'))))) AS finding
    FROM masques_ops.settlement_claims_now AS c
    LEFT JOIN masques_ops.claim_decisions_now AS d ON d.settlement_id = c.settlement_id
    GROUP BY c.settlement_id
)
WHERE (settlement_id, kind, detail) NOT IN
(
    SELECT settlement_id, kind, detail FROM masques_ops.settlement_findings FINAL
)
