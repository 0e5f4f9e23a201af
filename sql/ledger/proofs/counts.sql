-- How many events the seals after a time count, and how many rows and distinct times there are; how
-- many accounts the newest reading counted, and how many are there. An account that was created and
-- read after that reading is none of its: a reading may be on its way.
WITH
    (
        SELECT (min(from_ns), max(to_ns), sum(events))
        FROM masques_ops.ledger_seals FINAL
        WHERE sequence > {sealed_sequence:UInt64} AND from_ns >= {base_ns:UInt64}
    ) AS sent,
    (
        SELECT argMax((r.read_id, r.recorded_at), (r.snapshot_at_ns, r.recorded_at))
        FROM masques_ops.account_reads AS r
        WHERE r.is_last
    ) AS newest,
    (
        SELECT (sum(r.accounts), max(r.created_to_ns), max(r.snapshot_at_ns))
        FROM masques_ops.account_reads AS r FINAL
        WHERE r.read_id = newest.1
    ) AS reading
SELECT
    sent.3 AS events_sent,
    count() AS events_there,
    uniqExact(t.timestamp) AS times,
    reading.1 AS accounts_read,
    (
        SELECT uniqExact(a.account_id)
        FROM masques.accounts AS a
        WHERE NOT (
            toUnixTimestamp64Nano(a.created_at) > reading.2
            AND toUnixTimestamp64Nano(a.snapshot_at) > reading.3
            AND a.ingested_at > newest.2)
    ) AS accounts_there
FROM masques.transactions AS t
WHERE t.timestamp > fromUnixTimestamp64Nano(toInt64(sent.1), 'UTC')
    AND t.timestamp <= fromUnixTimestamp64Nano(toInt64(sent.2), 'UTC')
