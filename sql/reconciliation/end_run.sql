INSERT INTO masques_ops.reconciliation_runs
    (began_at, is_full, chart_version, read_to, log_rows, log_digest, ended_at)
SELECT
    began_at, is_full, chart_version, read_to,
    (SELECT count() FROM masques_ops.payments_log),
    (SELECT sum(cityHash64(content, sign)) FROM masques_ops.payments_log),
    greatest(now64(6, 'UTC'), began_at + INTERVAL 1 MICROSECOND)
FROM masques_ops.reconciliation_runs FINAL
WHERE began_at = {began_at:DateTime64(6, 'UTC')}
