-- Where a run resumes: the newest event that is not an expiry, in nanoseconds; no row when there is none.
-- An imported transfer may still land behind an expiry, never behind a transfer.
SELECT toUnixTimestamp64Nano(timestamp) AS cursor_ns
FROM masques.transactions
WHERE event_type != 'two_phase_expired'
ORDER BY timestamp DESC
LIMIT 1
