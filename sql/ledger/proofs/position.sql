-- The position of a pass, read once and handed down to every proof: the newest checkpoint, the newest
-- transfer (nothing can land at or before it any more), the time up to which the events are complete,
-- the times of the readings, what retention may have removed, and the newest sync.
--
-- What is newest is told by ledger time, never by the clock of a machine, which may have been wrong.
WITH
    (
        SELECT argMax(
            (checkpoint_ns, sealed_sequence, sealed_digest, sealed_events), checkpoint_ns)
        FROM masques_ops.balance_checkpoints FINAL
        WHERE state = 'proven'
    ) AS newest_checkpoint,
    newest_checkpoint.1 AS newest_checkpoint_ns,
    (
        SELECT max(to_ns)
        FROM (SELECT to_ns FROM masques_ops.ledger_seals ORDER BY sequence DESC LIMIT 1)
    ) AS newest_sealed_ns,
    (
        -- The oldest checkpoint from which every later event is still there.
        SELECT min(checkpoint_ns)
        FROM masques_ops.balance_checkpoints FINAL
        WHERE state = 'proven' AND checkpoint_ns >= least({horizon_ns:UInt64}, newest_sealed_ns)
    ) AS retained_ns,
    (
        SELECT (
            count(),
            max(watermark_ns),
            argMax((source, recorded_at), (watermark_ns, recorded_at)))
        FROM masques_ops.ledger_syncs
    ) AS synced
SELECT
    newest_checkpoint_ns AS checkpoint_ns,
    newest_checkpoint.2 AS sealed_sequence,
    newest_checkpoint.3 AS sealed_digest,
    newest_checkpoint.4 AS sealed_events,
    (
        -- By what the chain's digests cover: all events of the first batch are of one month.
        SELECT if(
            count() = 0 OR toUInt64(toUnixTimestamp(toStartOfMonth(
                fromUnixTimestamp64Nano(toInt64(min(to_ns)), 'UTC'), 'UTC'))) * 1000000000
                > {horizon_ns:UInt64},
            0,
            {horizon_ns:UInt64})
        FROM masques_ops.ledger_seals
        WHERE sequence = 1
    ) AS removed_ns,
    if(removed_ns = 0, 0, retained_ns) AS oldest_base_ns,
    (
        SELECT toUInt64(toUnixTimestamp64Nano(max(timestamp)))
        FROM masques.transactions
        WHERE event_type != 'two_phase_expired'
            AND timestamp > fromUnixTimestamp64Nano(toInt64(newest_checkpoint_ns), 'UTC')
    ) AS settled_ns,
    readings.first_ns AS first_reading_ns,
    readings.last_ns AS last_reading_ns,
    readings.accounts AS accounts,
    newest_sealed_ns AS sealed_to_ns,
    (SELECT count() FROM masques_ops.ledger_seals) AS seals,
    (SELECT count() FROM masques_ops.account_reads) AS readings,
    synced.1 AS syncs,
    synced.2 AS watermark_ns,
    synced.2 AS sync_watermark_ns,
    synced.3.1 AS sync_source,
    (toUnixTimestamp64Micro(synced.3.2) * 1000 - sync_watermark_ns) / 1e9 AS sync_lag_s,
    dateDiff('second', synced.3.2, now64(6, 'UTC')) AS sync_age_s
FROM
(
    SELECT min(read_ns) AS first_ns, max(read_ns) AS last_ns, count() AS accounts
    FROM masques_ops.account_readings
) AS readings
