-- What must agree in a sandbox without troubles: how many facts were compared, how many agree, and
-- some that do not. Facts of after {until} are left out: what belongs to them may not be told yet.
WITH
    transfers AS
    (
        SELECT
            t.transaction_id AS transfer_id,
            t.timestamp AS at,
            toString(t.transaction_type) AS type,
            toString(t.event_type) AS event,
            t.amount AS amount,
            toString(t.currency) AS currency,
            d.account_type = 'treasury' OR c.account_type = 'treasury' AS is_on_rail
        FROM masques.transactions AS t
        LEFT ANY JOIN masques.accounts AS d ON d.account_id = t.debit_account_id
        LEFT ANY JOIN masques.accounts AS c ON c.account_id = t.credit_account_id
        WHERE t.timestamp <= {until:DateTime64(9, 'UTC')}
    ),
    named AS
    (
        SELECT
            assumeNotNull(transaction_id) AS transfer_id,
            sum(charged) AS charged,
            any(toString(charged_currency)) AS currency,
            max(timestamp) AS at
        FROM masques.api_requests
        WHERE isNotNull(transaction_id)
        GROUP BY transfer_id
    ),
    links AS
    (
        SELECT
            l.settlement_id AS settlement_id,
            l.transaction_id AS transfer_id,
            count() OVER (PARTITION BY l.settlement_id) AS shared,
            s.amount AS settled
        FROM masques_ops.settlement_links AS l FINAL
        INNER JOIN masques_marts.settlements_current AS s ON s.settlement_id = l.settlement_id
        WHERE s.status IN ('pending', 'confirmed', 'off_chain', 'claimable')
    ),
    -- A settlement of several transfers counts for the first of them, with all that they moved.
    settled AS
    (
        SELECT first_transfer AS transfer_id, sum(amount) AS settled, any(moved) AS moved
        FROM
        (
            SELECT
                l.settlement_id,
                min(l.transfer_id) AS first_transfer,
                any(l.settled) AS amount,
                sum(t.amount) AS moved
            FROM links AS l
            INNER JOIN transfers AS t ON t.transfer_id = l.transfer_id
            GROUP BY l.settlement_id
            HAVING count() = any(l.shared)
        )
        GROUP BY first_transfer
    )
SELECT
    what,
    count() AS compared,
    countIf(is_same) AS agree,
    arraySort(groupArrayIf(3)(id, NOT is_same)) AS others
FROM
(
    SELECT
        'calls, and what their requests were charged' AS what,
        toString(t.transfer_id) AS id,
        n.charged = t.amount AND n.currency = t.currency AS is_same
    FROM transfers AS t
    LEFT JOIN named AS n ON n.transfer_id = t.transfer_id
    WHERE t.type = 'api_call'
    UNION ALL
    SELECT
        'paid requests, and the transfers that they name',
        toString(n.transfer_id),
        t.type = 'api_call'
    FROM named AS n
    LEFT JOIN transfers AS t ON t.transfer_id = n.transfer_id
    WHERE n.at <= {until:DateTime64(9, 'UTC')}
    UNION ALL
    SELECT
        'transfers over the treasury, and the settlements of their rails',
        toString(t.transfer_id),
        t.transfer_id IN (SELECT transfer_id FROM links)
    FROM transfers AS t
    WHERE t.is_on_rail
    UNION ALL
    SELECT
        'what settlements moved, and their transfers',
        toString(transfer_id),
        settled = moved
    FROM settled
    UNION ALL
    SELECT
        'holds, and what their sessions were charged',
        toString(h.transaction_id),
        multiIf(
            s.has_don = 0, false,
            h.state IN ('posted', 'posted_partly'), s.charged = h.posted,
            h.state = 'voided', s.charged = 0,
            s.has_doff = 0)
    FROM masques_marts.holds AS h
    LEFT JOIN masques_marts.sessions_current AS s ON s.transaction_id = h.transaction_id
    WHERE h.held_at <= {until:DateTime64(9, 'UTC')}
        AND ifNull(h.resolved_at, toDateTime64(0, 9, 'UTC')) <= {until:DateTime64(9, 'UTC')}
    UNION ALL
    SELECT
        'refunds, and the payments that they give back',
        toString(l.transaction_id),
        r.type = 'refund' AND p.type = 'api_call' AND r.amount = p.amount
            AND r.currency = p.currency
    FROM masques_ops.payment_links AS l
    LEFT JOIN transfers AS r ON r.transfer_id = l.transaction_id
    LEFT JOIN transfers AS p ON p.transfer_id = l.refund_of
    WHERE l.timestamp <= {until:DateTime64(9, 'UTC')}
    UNION ALL
    SELECT
        'requests, and their spans at the gate',
        if(r.span_id = '', s.SpanId, r.span_id),
        r.trace_id = s.TraceId AND r.request_id = toUUIDOrZero(s.request)
            AND abs(r.duration_ms * 1000000 - s.Duration) <= 7000000000
    FROM (SELECT * FROM masques.api_requests) AS r
    FULL JOIN
    (
        SELECT TraceId, SpanId, Duration, SpanAttributes['masques.request_id'] AS request
        FROM otel.otel_traces
        WHERE ServiceName = 'gate'
    ) AS s ON s.SpanId = r.span_id
    UNION ALL
    SELECT
        'what the ledger''s spans booked, and what its transfers say',
        toString(t.transfer_id),
        t.type = 'api_call' AND t.at >= s.Timestamp
            AND t.at <= s.Timestamp + toIntervalNanosecond(s.Duration)
    FROM
    (
        SELECT Timestamp, Duration,
            toUUIDOrZero(SpanAttributes['masques.transaction_id']) AS transfer_id
        FROM otel.otel_traces
        WHERE ServiceName = 'ledger' AND StatusCode = 'Unset'
    ) AS s
    LEFT JOIN transfers AS t ON t.transfer_id = s.transfer_id
)
GROUP BY what
ORDER BY what
