-- What moved the score of one identity, the largest effect first.
SELECT
    category, event_type, toString(timestamp) AS happened_at, age_days, delta, quality, reason,
    grounding, weight, cluster_id, cap, counted_share, reference_type, reference_id, inherited_from,
    effect
FROM masques_ops.reputation_contributions_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')})
WHERE identity_id = {identity_id:UUID}
ORDER BY abs(effect) DESC, timestamp DESC, event_id
