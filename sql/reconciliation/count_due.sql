-- Counts legs whose deadline a side was read past, and rows of a run that was killed.
WITH
    (
        SELECT read_to FROM masques_ops.reconciliation_runs FINAL
        WHERE began_at = {began_at:DateTime64(6, 'UTC')}
    ) AS read_to,
    (
        SELECT max(began_at) FROM masques_ops.reconciliation_runs WHERE ended_at > toDateTime64(0, 6, 'UTC')
    ) AS last
SELECT
    (
        SELECT count() FROM
        (
            SELECT item_id, content FROM masques_ops.payments_log
            PREWHERE gate_waits_for != '' OR rail_waits_for != ''
            WHERE (gate_waits_for != '' AND read_to[gate_waits_for] >= gate_due_at)
                OR (rail_waits_for != '' AND read_to[rail_waits_for] >= rail_due_at)
            GROUP BY item_id, content HAVING sum(sign) > 0
        )
    ) AS due,
    (SELECT count() FROM masques_ops.payments_log WHERE known_from > last) AS left
