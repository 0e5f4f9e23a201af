-- Per ledger, what the source sent by the seals after a time, and what the table holds of it.
WITH
    sealed AS
    (
        SELECT sequence, digest, from_ns, to_ns, events, posted, held
        FROM masques_ops.ledger_seals FINAL
        WHERE sequence > {sealed_sequence:UInt64} AND from_ns >= {base_ns:UInt64}
    ),
    (SELECT (min(from_ns), max(to_ns)) FROM sealed) AS bounds
SELECT
    ledger,
    sum(sent) AS sent_posted,
    sum(is_there) AS kept_posted,
    sum(sent_held) AS sent_held_total,
    sum(kept_held) AS kept_held_total
FROM
(
    SELECT
        entry.1 AS ledger, toInt256(entry.2) AS sent, toInt256(0) AS is_there,
        toInt256(0) AS sent_held, toInt256(0) AS kept_held
    FROM sealed
    ARRAY JOIN CAST(posted, 'Array(Tuple(UInt32, UInt256))') AS entry
    UNION ALL
    SELECT entry.1, toInt256(0), toInt256(0), toInt256(entry.2), toInt256(0)
    FROM sealed
    ARRAY JOIN CAST(held, 'Array(Tuple(UInt32, UInt256))') AS entry
    UNION ALL
    SELECT
        e.ledger, toInt256(0), if(e.event_type = 'two_phase_pending', toInt256(0), e.amount),
        toInt256(0), if(e.event_type = 'two_phase_pending', e.amount, toInt256(0))
    FROM masques_ops.raw_events AS e
    WHERE e.timestamp > fromUnixTimestamp64Nano(toInt64(bounds.1), 'UTC')
        AND e.timestamp <= fromUnixTimestamp64Nano(toInt64(bounds.2), 'UTC')
        AND e.event_type IN ('single_phase', 'two_phase_posted', 'two_phase_pending')
)
GROUP BY ledger
ORDER BY ledger
