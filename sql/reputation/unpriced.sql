-- Payments behind events of the newest scores' window that have no exchange rate: nothing is held
-- against them for being small. Several events of one payment are one payment.
WITH
    assumeNotNull((SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m))
        AS model,
    (SELECT max(computed_at) FROM masques.reputation_scores) AS as_of
SELECT count() AS unpriced
FROM
(
    SELECT reference_key
    FROM masques_ops.reputation_evidence_log
    WHERE reason_code = 1 AND usd < 0 AND known_from <= as_of AND timestamp <= as_of
        AND timestamp > as_of - toIntervalSecond(model.window_days * 86400)
    GROUP BY reference_key
    HAVING sum(sign) > 0
)
