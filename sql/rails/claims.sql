-- Settlements with several proved claims, or with a decision about them: what the claims name, which
-- lines of the journal said so, and what was decided.
WITH
    claims AS
    (
        SELECT settlement_id, announced_id, transaction_ids, min(claimed_at) AS said_at
        FROM masques_ops.settlement_claims_now
        WHERE is_proved
        GROUP BY settlement_id, announced_id, transaction_ids
    ),
    lines AS
    (
        SELECT
            settlement_id AS said_of,
            arraySort(transaction_ids) AS said_ids,
            arraySort(groupUniqArray(concat(source, ':', toString(line_no)))) AS places
        FROM masques_ops.journal_events FINAL
        WHERE settlement_id IN (SELECT announced_id FROM claims) AND outcome IN ('success', 'pending')
        GROUP BY said_of, said_ids
    ),
    claimed AS
    (
        SELECT
            c.settlement_id AS settlement_id,
            arraySort(x -> x.1, groupArray((c.said_at, c.transaction_ids, l.places))) AS claims,
            uniqExact(c.transaction_ids) AS different
        FROM claims AS c
        LEFT JOIN lines AS l ON l.said_of = c.announced_id AND l.said_ids = c.transaction_ids
        GROUP BY c.settlement_id
    )
SELECT
    s.settlement_id AS settlement_id,
    toString(s.rail) AS rail,
    toString(s.network) AS network,
    toString(s.status) AS status,
    toString(s.direction) AS direction,
    s.amount AS amount,
    toString(s.currency) AS currency,
    s.tx_hash AS tx_hash,
    c.claims AS claims,
    d.decision AS decision,
    d.transaction_ids AS chosen,
    d.claims AS known,
    d.decided_by AS decided_by,
    d.reason AS reason,
    d.decided_at AS decided_at
FROM masques_marts.settlements_current AS s
LEFT JOIN claimed AS c ON c.settlement_id = s.settlement_id
LEFT JOIN masques_ops.claim_decisions_now AS d ON d.settlement_id = s.settlement_id
WHERE (c.different > 1 OR d.decision != '')
    AND ({settlement:String} = '' OR s.settlement_id = toUUIDOrZero({settlement:String}))
ORDER BY s.timestamp, s.settlement_id
