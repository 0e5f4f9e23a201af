-- What changed in who is who. Sent twice it writes nothing more. An identity that is its own cluster
-- and shares no id needs no row, unless it had another one before.
INSERT INTO masques_ops.reputation_parties
SELECT is_account, party_id, now64(6, 'UTC'), cluster_id, shared_ids
FROM masques_ops.reputation_parties_now
WHERE (is_account = 1 OR cluster_id != party_id OR notEmpty(shared_ids)
        OR party_id IN (SELECT party_id FROM masques_ops.reputation_parties WHERE is_account = 0))
    AND (is_account, party_id, cluster_id, shared_ids) NOT IN
(
    SELECT is_account, party_id, argMax(p.cluster_id, known_from), argMax(p.shared_ids, known_from)
    FROM masques_ops.reputation_parties AS p
    GROUP BY is_account, party_id
)
