-- Writes down that a run ended, and what the log is now: after a full comparison all of it, else what the
-- last run left and what came since. So what is damaged while a run goes on is found by the next one.
INSERT INTO masques_ops.reconciliation_runs
    (began_at, is_full, reason, corrected, chart_version, read_to, log_rows, log_digest, ended_at)
WITH
    (
        SELECT argMaxIf((began_at, log_rows, log_digest), began_at, {is_full:UInt8} = 0)
        FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS last,
    (
        SELECT (count(), sum(cityHash64(content, sign)))
        FROM masques_ops.payments_log WHERE known_from > last.1
    ) AS since
SELECT
    began_at, is_full, reason, {corrected:Nullable(UInt64)}, chart_version, read_to, last.2 + since.1, last.3 + since.2,
    greatest(now64(6, 'UTC'), began_at + INTERVAL 1 MICROSECOND)
FROM masques_ops.reconciliation_runs FINAL
WHERE began_at = {began_at:DateTime64(6, 'UTC')}
