-- What was charged by requests and sessions, and refunded by links, beside what the ledger moved.
SELECT told_by, currency, count() AS rows, sum(charged) AS charged, sum(moved) AS moved
FROM
(
    SELECT
        'requests' AS told_by,
        toString(a.charged_currency) AS currency,
        a.charged AS charged,
        t.amount AS moved
    FROM masques.api_requests AS a
    INNER JOIN masques.transactions AS t ON t.transaction_id = a.transaction_id
    WHERE isNotNull(a.charged)
    UNION ALL
    SELECT 'sessions', s.charged_currency, s.charged, h.posted
    FROM masques_marts.sessions_current AS s
    INNER JOIN masques_marts.holds AS h ON h.transaction_id = s.transaction_id
    WHERE isNotNull(s.charged)
    UNION ALL
    SELECT 'refunds', toString(t.currency), NULL, t.amount
    FROM masques_ops.payment_links AS l
    INNER JOIN masques.transactions AS t ON t.transaction_id = l.transaction_id
)
GROUP BY told_by, currency
ORDER BY told_by, currency
