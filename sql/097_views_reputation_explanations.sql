-- Reputation, step 4 of 4: why a score is what it is.

-- How each event of the window moves the score, at as_of, by what was known at known_at. For one
-- identity the effects add up to overall_score less the prior.
CREATE OR REPLACE VIEW masques_ops.reputation_contributions_at AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    -- Rows that were taken back, and those that took them back, are left out in pairs.
    said AS
    (
        SELECT content, sum(l.sign) AS times, any(l.identity_id) AS identity_id,
            any(l.category_code) AS category_code, any(l.cluster_key) AS cluster_key,
            any(l.timestamp) AS timestamp, any(l.reason_code) AS reason_code, any(l.delta) AS delta,
            any(l.quality) AS quality, any(l.usd) AS usd, any(l.kept_share) AS kept_share,
            any(l.event_id) AS event_id, any(l.event_type) AS event_type,
            any(l.reference_type) AS reference_type, any(l.reference_id) AS reference_id,
            any(l.counterparty_id) AS counterparty_id, any(l.cluster_id) AS cluster_id,
            any(l.inherited_from) AS inherited_from
        FROM masques_ops.reputation_evidence_recorded AS l
        WHERE l.known_from <= {known_at:DateTime64(9, 'UTC')} AND l.timestamp <= as_of
            AND l.timestamp > as_of - toIntervalSecond(model.window_days * 86400)
        GROUP BY l.identity_id, content
        HAVING times != 0
    ),
    contributing AS
    (
        SELECT
            e.identity_id AS identity_id,
            e.category_code AS category_code,
            e.timestamp AS timestamp,
            e.event_id AS event_id,
            e.event_type AS event_type,
            e.delta AS delta,
            e.quality AS quality,
            e.reference_type AS reference_type,
            e.reference_id AS reference_id,
            e.counterparty_id AS counterparty_id,
            e.cluster_id AS cluster_id,
            e.inherited_from AS inherited_from,
            (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(e.timestamp)) / 86400e9
                AS age_days,
            ['money', 'plain', 'attested', 'ungrounded', 'self_dealing', 'refunded', 'reorged',
                'contradicted'][e.reason_code] AS reason,
            multiIf(
                e.reason_code = 1, e.kept_share * if(e.usd < 0, 1.0,
                    greatest(model.dust_least, least(1.0, e.usd / model.dust_usd))),
                e.reason_code = 2, model.weight_plain,
                e.reason_code = 3, 1.0,
                e.reason_code = 4, model.weight_ungrounded,
                0.0) AS grounding,
            e.quality * grounding * exp2(-age_days / model.half_life_days) AS aged_weight,
            c.cap_0 AS cap,
            c.counted_0 AS counted_share
        FROM said AS e
        INNER JOIN masques_ops.reputation_capped(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS c
            ON c.identity_id = e.identity_id AND c.category_code = e.category_code
                AND c.cluster_key = e.cluster_key
    )
SELECT
    identity_id,
    ['task_quality', 'economic', 'identity_hygiene'][category_code] AS category,
    event_type,
    timestamp,
    age_days,
    event_id,
    delta,
    quality,
    reason,
    grounding,
    aged_weight AS weight,
    counterparty_id,
    cluster_id,
    cap,
    counted_share,
    reference_type,
    reference_id,
    inherited_from,
    sum(counted_share * aged_weight * abs(delta)) OVER (PARTITION BY identity_id, category_code)
        AS category_evidence,
    [model.share_task_quality, model.share_economic, model.share_identity_hygiene][category_code]
        * counted_share * aged_weight * (greatest(delta, 0.0) - model.prior_score * abs(delta))
        / (category_evidence + model.prior_weight) AS effect
FROM contributing
COMMENT 'How each event of the window moves the score. For one identity the effects add up to overall_score less the prior. Parameters: as_of - the moment of the question: later events are left out; known_at - facts written later are left out. Columns: identity_id .. effect - as in masques_marts.reputation_contributions.';
