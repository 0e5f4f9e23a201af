-- What every event weighs, into a log that has no word on it yet. Sent twice it writes nothing more.
--
-- What was known before there was a log is known from when the last of what it follows from was.
INSERT INTO masques_ops.reputation_evidence_log
(
    identity_id, category_code, cluster_key, timestamp, sign, known_from, reason_code, is_attested,
    delta, quality, usd, kept_share, event_id, event_type, reference_type, reference_id,
    reference_key, counterparty_id, cluster_id, inherited_from
)
SELECT
    identity_id, category_code, cluster_key, timestamp, 1, knowable_from, reason_code, is_attested,
    delta, quality, usd, kept_share, event_id, event_type, reference_type, reference_id,
    reference_key, counterparty_id, cluster_id, inherited_from
FROM masques_ops.reputation_evidence_current(
    part = {part:UInt32}, parts = {parts:UInt32}, everything = 1,
    oldest = {oldest:DateTime64(9, 'UTC')})
WHERE event_id NOT IN
(
    SELECT event_id
    FROM masques_ops.reputation_evidence_log
    WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
)
