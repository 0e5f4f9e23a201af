-- What changed in who is who. Sent twice it writes nothing more.
INSERT INTO masques_ops.reputation_parties
SELECT party_id, now64(6, 'UTC'), cluster_id, shared_ids
FROM masques_ops.reputation_parties_now
WHERE (party_id, cluster_id, shared_ids) NOT IN
(
    SELECT party_id, argMax(p.cluster_id, known_from), argMax(p.shared_ids, known_from)
    FROM masques_ops.reputation_parties AS p
    GROUP BY party_id
)
