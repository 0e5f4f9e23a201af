-- What new events refer to, and those older references that something new speaks of.
INSERT INTO masques_ops.reputation_touched_references
WITH
    spoken_of AS
    (
        SELECT 'transaction' AS kind, transfer_id AS id
        FROM masques_ops.reputation_touched_transfers
        UNION ALL
        SELECT 'session', session_id
        FROM masques.masque_sessions
        WHERE ingested_at >= {since:DateTime64(6, 'UTC')} OR assumeNotNull(transaction_id) IN
            (SELECT transfer_id FROM masques_ops.reputation_touched_transfers)
        UNION ALL
        SELECT 'request', request_id
        FROM masques.api_requests
        WHERE ingested_at >= {since:DateTime64(6, 'UTC')} OR assumeNotNull(transaction_id) IN
            (SELECT transfer_id FROM masques_ops.reputation_touched_transfers)
        UNION ALL
        SELECT 'settlement', settlement_id
        FROM masques.settlements
        WHERE ingested_at >= {since:DateTime64(6, 'UTC')} OR assumeNotNull(transaction_id) IN
            (SELECT transfer_id FROM masques_ops.reputation_touched_transfers)
    )
SELECT DISTINCT kind, id
FROM
(
    SELECT kind, id
    FROM spoken_of
    WHERE sipHash64(kind, id) IN
    (
        SELECT reference_key
        FROM masques_ops.reputation_evidence_log
        WHERE reference_key IN (SELECT sipHash64(kind, id) FROM spoken_of)
    )
    UNION ALL
    SELECT toString(reference_type), toUUIDOrZero(reference_id)
    FROM masques.reputation_events
    WHERE ingested_at >= {since:DateTime64(6, 'UTC')} AND reference_type NOT IN ('', 'attestation')
        AND category IN ('task_quality', 'economic', 'identity_hygiene')
)
