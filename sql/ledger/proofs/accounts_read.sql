-- Accounts that the newest reading counted, and accounts that were there by then.
WITH
    (
        SELECT argMax(r.read_id, r.recorded_at) FROM masques_ops.account_reads AS r WHERE r.is_last
    ) AS newest_read_id
SELECT
    sum(r.accounts) AS counted,
    (
        SELECT uniqExact(a.account_id)
        FROM masques.accounts AS a
        WHERE toUnixTimestamp64Nano(a.created_at) <=
        (
            SELECT max(n.created_to_ns) FROM masques_ops.account_reads AS n FINAL
            WHERE n.read_id = newest_read_id
        )
    ) AS there
FROM masques_ops.account_reads AS r FINAL
WHERE r.read_id = newest_read_id
