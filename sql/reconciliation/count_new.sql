-- Counts what is new since the last run: rows of the ledger, the gate and the rails, other rows that a payment may hang on,
-- and rows that only the position depends on.
WITH {since:DateTime64(6, 'UTC')} AS since
SELECT
    (SELECT count() FROM masques.transactions WHERE ingested_at >= since)
        + (SELECT count() FROM masques.api_requests WHERE ingested_at >= since)
        + (SELECT count() FROM masques.settlements WHERE ingested_at >= since) AS facts,
    (SELECT count() FROM masques.masque_sessions WHERE ingested_at >= since)
        + (SELECT count() FROM masques_ops.payment_links WHERE ingested_at >= since)
        + (SELECT count() FROM masques_ops.settlement_links WHERE recorded_at >= since) AS others,
    (SELECT count() FROM masques.accounts WHERE ingested_at >= since)
        + (SELECT count() FROM masques.settlements WHERE ingested_at >= since)
        + (SELECT count() FROM masques_ops.rail_balances WHERE recorded_at >= since)
        + (
            SELECT count() FROM
            (
                SELECT unexplained, state FROM masques_ops.positions ORDER BY computed_at DESC LIMIT 1 BY asset
            )
            WHERE unexplained != toDecimal256(0, 18) AND state != 'differs'
        ) AS moved
