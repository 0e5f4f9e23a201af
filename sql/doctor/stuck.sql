-- What waits for something: payments and holds that are past their deadline, and rows in quarantine.
SELECT
    (
        SELECT count() FROM masques_marts.settlements_current
        WHERE status = 'pending' OR (status = 'unknown' AND attributes['closed'] = '')
    ) AS payments_open,
    (SELECT count() FROM masques_marts.holds_open) AS holds_open,
    (SELECT countIf(expires_at < now() - 60) FROM masques_marts.holds_open) AS holds_overdue,
    (SELECT count() FROM masques_ops.quarantine FINAL WHERE state = 'open') AS quarantined
