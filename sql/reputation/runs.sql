-- What a run that begins now has to know of those before it that came to their end: since when rows are
-- new to it, whether the last full one is too long ago or was by another model; and since when events
-- count at any moment (and a day more).
WITH
    (SELECT (m.numbers, m.model_version) FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS model,
    now64(6, 'UTC') AS now
SELECT
    toString(now) AS began_at,
    toString(greatest(toDateTime64(0, 6, 'UTC'),
        max(r.began_at) - toIntervalMillisecond({overlap_ms:UInt32}))) AS since,
    argMax(r.model_version, r.began_at) != model.2
        OR now - toIntervalSecond({full_every_s:UInt32}) >= maxIf(r.began_at, is_full = 1) AS is_full,
    toString(now - toIntervalSecond((model.1['window_days'] + 31) * 86400)) AS oldest,
    model.2 AS model_version,
    toUInt8(model.1['trace_hops']) AS trace_hops
FROM masques_ops.reputation_runs AS r
