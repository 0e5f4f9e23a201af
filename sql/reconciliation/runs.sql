-- What a run that begins now has to know of those before it that ended: since when rows are new to it,
-- and why everything is due, if it is: at first, by another chart, once a day, and when the log is not what the
-- last run left (what a run wrote that did not end is later than that).
WITH
    (
        SELECT argMax((began_at, log_rows, log_digest), began_at)
        FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS last,
    (
        SELECT (count(), sum(cityHash64(content, sign)))
        FROM masques_ops.payments_log WHERE known_from <= last.1
    ) AS log,
    now64(6, 'UTC') AS now,
    (SELECT max(version) FROM masques_ops.chart_entries) AS chart
SELECT
    toString(greatest(now, max(r.began_at) + INTERVAL 1 MICROSECOND)) AS began,
    toString(greatest(toDateTime64(0, 6, 'UTC'),
        max(r.began_at) - toIntervalMillisecond({overlap_ms:UInt32}))) AS since,
    multiIf(
        count() = 0, 'first',
        log.1 != last.2 OR log.2 != last.3, 'damaged',
        argMax(r.chart_version, r.began_at) != chart, 'chart',
        now - toIntervalSecond({full_every_s:UInt32}) >= maxIf(r.began_at, r.is_full = 1), 'daily',
        '') AS reason,
    chart AS chart_version,
    (
        SELECT (SELECT count() FROM masques.transactions) + (SELECT count() FROM masques.api_requests)
            + (SELECT count() FROM masques.settlements)
    ) AS facts,
    -- Later rows may still come from an insert that began before this run.
    toString(CAST(now - toIntervalMillisecond({overlap_ms:UInt32}), 'DateTime64(3, ''UTC'')')) AS counted_to
FROM (SELECT * FROM masques_ops.reconciliation_runs FINAL WHERE ended_at > toDateTime64(0, 6, 'UTC')) AS r
