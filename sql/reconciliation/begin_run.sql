-- Writes down a run that begins: the chart that it judges by, and up to when each side was read.
--
-- A side that was not read past a deadline makes nothing a break. So a table of the intake is read up to
-- the least of the channels that deliver it, and a rail up to the least of its networks and nodes; one
-- that is off, or that the newest run did not read, does not count. The journal, which has no blocks, was read up to its newest
-- line when a run reached its end; a line whose clock is ahead of the ledger's does not count.
INSERT INTO masques_ops.reconciliation_runs (began_at, is_full, reason, chart_version, read_to, ended_at)
WITH
    toDateTime64(0, 9, 'UTC') AS never,
    (
        SELECT fromUnixTimestamp64Nano(toInt64(max(watermark_ns)), 'UTC') FROM masques_ops.ledger_syncs
    ) AS ledger,
    (
        SELECT ifNull(min(ifNull(read_to, toDateTime64(0, 9, 'UTC'))), toDateTime64(0, 9, 'UTC'))
        FROM masques_ops.landing_read_to WHERE table_name = 'api_requests' AND is_current = 1
    ) AS requests,
    (
        SELECT ifNull(min(ifNull(read_to, toDateTime64(0, 9, 'UTC'))), toDateTime64(0, 9, 'UTC'))
        FROM masques_ops.landing_read_to WHERE table_name = 'masque_sessions' AND is_current = 1
    ) AS sessions,
    (
        SELECT ifNull(argMax(read_to['rail:journal'], began_at), toDateTime64(0, 9, 'UTC'))
        FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS journal_before,
    (
        SELECT if(
            (SELECT argMax(state, finished_at) FROM masques_ops.rail_runs WHERE rail = 'journal') = 'read',
            max(time), toDateTime64(0, 9, 'UTC'))
        FROM masques_ops.journal_events
        WHERE time <= ledger AND time > ledger - INTERVAL 31 DAY
    ) AS journal_read,
    (
        SELECT CAST((groupArray(name), groupArray(read_to)), 'Map(String, DateTime64(9, ''UTC''))')
        FROM
        (
            SELECT concat('rail:', rail) AS name,
                min(if(rail = 'journal',
                    greatest(ifNull(c.read_to, toDateTime64(0, 9, 'UTC')),
                        assumeNotNull(journal_before), assumeNotNull(journal_read)),
                    ifNull(c.read_to, toDateTime64(0, 9, 'UTC')))) AS read_to
            FROM (SELECT rail, network, node, read_to FROM masques_ops.rail_cursors FINAL) AS c
            WHERE (rail, network, node) NOT IN
            (
                SELECT rail, network, node FROM masques_ops.rail_runs
                GROUP BY rail, network, node
                HAVING argMax(state, finished_at) = 'off'
                    OR max(finished_at) < (SELECT max(finished_at) FROM masques_ops.rail_runs)
            )
            GROUP BY rail
        )
    ) AS by_rail,
    if(mapContains(by_rail, 'rail:journal'), by_rail['rail:journal'], never) AS journal
SELECT
    {began_at:DateTime64(6, 'UTC')},
    {reason:String} != '',
    {reason:String},
    {chart_version:UInt64},
    CAST(mapConcat(
        map(
            'ledger', assumeNotNull(ledger),
            'requests', assumeNotNull(requests),
            'sessions', assumeNotNull(sessions),
            'bookings', least(assumeNotNull(ledger), journal),
            'rails', if(empty(mapKeys(by_rail)), never, arrayMin(mapValues(by_rail)))),
        by_rail), 'Map(LowCardinality(String), DateTime64(9, ''UTC''))'),
    toDateTime64(0, 6, 'UTC')
