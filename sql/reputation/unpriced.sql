-- Payments behind the newest scores' events that have no exchange rate: their judgements count as free.
-- Several events of one payment are one payment.
WITH
    (SELECT m.numbers FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m) AS n,
    (SELECT max(computed_at) FROM masques.reputation_scores) AS as_of
SELECT count() AS unpriced
FROM
(
    SELECT payment_id
    FROM masques_ops.reputation_evidence
    WHERE reason_code = 4 AND known_from <= as_of AND timestamp <= as_of
        AND timestamp > as_of - toIntervalSecond(n['window_days'] * 86400)
    GROUP BY payment_id
    HAVING sum(sign) > 0
)
