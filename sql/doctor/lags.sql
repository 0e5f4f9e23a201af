-- Up to when each source was read, in seconds before now by the server's clock; NULL when never.
SELECT source, lag_s
FROM
(
    -- A sync reads to the ledger's end, and a ledger that rests is not behind.
    SELECT 'ledger' AS source, if(newest = 0, NULL, toUnixTimestamp(now()) - newest) AS lag_s
    FROM (SELECT toUnixTimestamp(max(recorded_at)) AS newest FROM masques_ops.ledger_syncs)
    UNION ALL
    SELECT concat('gate ', table_name), toUnixTimestamp(now()) - toUnixTimestamp(min(read_to))
    FROM masques_ops.landing_read_to
    WHERE is_current AND isNotNull(read_to)
    GROUP BY table_name
    UNION ALL
    SELECT concat('rail ', if(any(name) = '', rail, any(name))), toUnixTimestamp(now()) - toUnixTimestamp(argMaxIf(finished_at, finished_at, state IN ('read', 'behind')))
    FROM masques_ops.rail_runs
    GROUP BY rail, network, node
    -- Of a network that is not in the settings any more there is no newest run.
    HAVING max(finished_at) = (SELECT max(finished_at) FROM masques_ops.rail_runs)
        AND argMax(state, finished_at) != 'off' AND countIf(state IN ('read', 'behind')) > 0
    UNION ALL
    SELECT 'scores', if(newest = 0, NULL, toUnixTimestamp(now()) - newest)
    FROM (SELECT toUnixTimestamp(max(computed_at)) AS newest FROM masques.reputation_scores)
)
ORDER BY source
