-- What a run that begins now has to know of those before it that came to their end: since when rows are
-- new to it, since when changes of facts were not looked at to the end, whether the last full one is
-- too long ago or was by another model; since when events count at any anchor (and a day more); and
-- whether there is a log.
WITH
    assumeNotNull((SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m))
        AS model,
    toDateTime64(0, 6, 'UTC') AS beginning,
    now64(6, 'UTC') AS now
SELECT
    toString(now) AS began_at,
    toString(greatest(beginning,
        max(r.began_at) - toIntervalMillisecond({overlap_ms:UInt32}))) AS since,
    toString(max(ended_at)) AS changed_since,
    argMax(r.model_version, r.began_at) != model.version
        OR now - toIntervalSecond({full_every_s:UInt32}) >= maxIf(r.began_at, is_full = 1) AS is_full,
    toString(if(count() = 0, beginning,
        now - toIntervalSecond((model.window_days + 31) * 86400))) AS oldest,
    (SELECT count() FROM masques_ops.reputation_evidence_log) = 0 AS is_first,
    model.version AS model_version
FROM masques_ops.reputation_runs AS r
