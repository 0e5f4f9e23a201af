-- Settlements whose outcome changed after it was final, without a finding that records the change.
-- Without skip indexes: see current_by_id.sql.
SELECT settlement_id, revision, status, tx_hash, was_status, was_tx_hash
FROM
(
    SELECT
        settlement_id, revision, status, failure_reason, tx_hash, block_hash, amount,
        lagInFrame(status) OVER history AS was_status,
        lagInFrame(failure_reason) OVER history AS was_reason,
        lagInFrame(tx_hash) OVER history AS was_tx_hash,
        lagInFrame(block_hash) OVER history AS was_block_hash,
        lagInFrame(amount) OVER history AS was_amount
    FROM
    (
        SELECT *
        FROM masques.settlements
        WHERE settlement_id IN
        (
            SELECT settlement_id FROM masques.settlements WHERE status IN ('confirmed', 'failed', 'superseded')
        )
        LIMIT 1 BY settlement_id, revision
    )
    WINDOW history AS
        (PARTITION BY settlement_id ORDER BY revision ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE was_status IN ('confirmed', 'failed', 'superseded')
    AND (status, failure_reason, tx_hash, block_hash, amount)
        != (was_status, was_reason, was_tx_hash, was_block_hash, was_amount)
    -- The same money, recorded as another settlement.
    AND NOT (status = 'superseded' AND amount = was_amount)
    AND (settlement_id, revision) NOT IN
    (
        SELECT settlement_id, revision
        FROM masques_ops.settlement_findings FINAL
        WHERE kind = 'changed_after_final'
    )
LIMIT 100
SETTINGS use_skip_indexes = 0
