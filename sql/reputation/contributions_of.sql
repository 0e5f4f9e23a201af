-- What moved the score of one identity, the largest effect first.
SELECT
    category, event_type, toString(timestamp) AS happened_at, age_days, delta, reason, usd, weight,
    standing, cluster_id, counted_share, reference_type, reference_id, effect
FROM masques_ops.reputation_contributions_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')})
WHERE identity_id = {identity_id:UUID}
ORDER BY abs(effect) DESC, timestamp DESC, event_id
