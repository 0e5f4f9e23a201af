-- Now, when the last runs that wrote the facts to their end began and ended, the model in force and that of the
-- last run, since when events can count at any anchor (and a day more), and whether there is a log.
WITH
    assumeNotNull((SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m))
        AS model
SELECT
    now64(6, 'UTC') AS now,
    max(began_at) AS last,
    max(ended_at) AS last_end,
    maxIf(began_at, is_full = 1) AS last_full,
    model.version AS version,
    argMax(r.model_version, began_at) AS last_version,
    now64(6, 'UTC') - toIntervalSecond((model.window_days + 31) * 86400) AS oldest,
    (SELECT count() FROM masques_ops.reputation_evidence_log) AS log_rows
FROM masques_ops.reputation_runs AS r
