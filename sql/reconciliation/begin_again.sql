-- Writes down a run that compares everything right after one that compared what was new: it judges by the
-- same, so that it must find the same.
INSERT INTO masques_ops.reconciliation_runs (began_at, is_full, reason, chart_version, read_to, ended_at)
SELECT
    {began_at:DateTime64(6, 'UTC')}, 1, {reason:String}, chart_version, read_to, toDateTime64(0, 6, 'UTC')
FROM masques_ops.reconciliation_runs FINAL
WHERE began_at = {before:DateTime64(6, 'UTC')}
