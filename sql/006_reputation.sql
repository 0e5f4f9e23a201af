-- Signals of trust, and the scores made of them. A re-run changes nothing.

CREATE TABLE IF NOT EXISTS masques.reputation_events
(
    event_id UUID,
    timestamp DateTime64(9, 'UTC'),
    identity_id UUID COMMENT 'whom the event is about',
    category LowCardinality(String) COMMENT 'task_quality, economic or identity_hygiene',
    event_type LowCardinality(String),
    score_delta Float64 COMMENT '-1 to 1; beyond is clamped when scored',
    confidence Float64 COMMENT '0 to 1; beyond is clamped when scored',
    reference_type LowCardinality(String)
        COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String,
    attributes Map(LowCardinality(String), String) COMMENT 'counterparty_id: who caused the event',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX event_id_bloom event_id TYPE bloom_filter GRANULARITY 4,
    INDEX identity_id_bloom identity_id TYPE bloom_filter GRANULARITY 4,
    INDEX reference_id_bloom reference_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, identity_id, event_id)
TTL toDate(timestamp) + INTERVAL 3 YEAR;

CREATE TABLE IF NOT EXISTS masques.reputation_scores
(
    identity_id UUID,
    computed_at DateTime64(9, 'UTC'),
    overall_score Float64 COMMENT 'all scores: 0 to 1, 0.5 without evidence',
    task_quality_score Float64,
    economic_score Float64,
    identity_hygiene_score Float64,
    total_events UInt64,
    positive_events UInt64,
    negative_events UInt64,
    confidence Float64 COMMENT '0 to 1; 0 without evidence, falls as evidence ages',
    score_7d_ago Float64 COMMENT 'the same model, as of seven days before computed_at',
    score_30d_ago Float64 COMMENT 'the same model, as of thirty days before computed_at',
    score_lower Float64 COMMENT 'rank by this: overall_score less 1.645 standard deviations',
    effective_events Float64 COMMENT 'evidence after decay, weights and caps',
    excluded_events UInt64 COMMENT 'events that count zero',
    model_version LowCardinality(String)
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(computed_at)
ORDER BY identity_id;

-- Refreshable: every hour the whole score table is computed anew and swapped in. (A view that runs
-- per inserted block would score each identity by its last block alone.)
--
-- Model events-1: Beta reputation with decay (Josang and Ismail 2002), prior weight 10 at 0.5,
-- half-life 30 days, window 90 days, weights 40/35/25. References are not looked up, so every event
-- weighs what an ungrounded one weighs, 0.2, and one counterparty counts for at most one event in a
-- category. All three anchors (now, 7 and 30 days ago) are the same computation.
CREATE MATERIALIZED VIEW IF NOT EXISTS masques.reputation_scores_mv
REFRESH EVERY 1 HOUR TO masques.reputation_scores
AS
WITH
    10.0 AS prior_weight,
    now64(9, 'UTC') AS as_of,
    events AS
    (
        SELECT
            event_id,
            identity_id,
            category,
            timestamp,
            attributes['counterparty_id'] AS counterparty_id,
            greatest(-1.0, least(1.0, score_delta)) AS delta,
            0.2 * greatest(0.0, least(1.0, confidence)) AS weight
        FROM masques.reputation_events
        WHERE timestamp > as_of - INTERVAL 120 DAY AND timestamp <= as_of
        ORDER BY timestamp, ingested_at
        LIMIT 1 BY event_id
    ),
    aged AS
    (
        SELECT
            *,
            arrayJoin([0, 7, 30]) AS anchor_days,
            dateDiff('second', timestamp, as_of) / 86400.0 - anchor_days AS age_days
        FROM events
    ),
    by_counterparty AS
    (
        SELECT
            identity_id,
            category,
            anchor_days,
            sum(weight * exp2(-age_days / 30) * greatest(delta, 0.0)) AS good,
            sum(weight * exp2(-age_days / 30) * greatest(-delta, 0.0)) AS bad,
            if(good + bad > 1.0, 1.0 / (good + bad), 1.0) AS cap,
            count() AS events,
            countIf(delta > 0) AS positive,
            countIf(delta < 0) AS negative,
            countIf(weight = 0) AS excluded
        FROM aged
        WHERE age_days >= 0 AND age_days < 90
        GROUP BY identity_id, category, anchor_days, counterparty_id
    ),
    by_category AS
    (
        SELECT
            identity_id,
            category,
            anchor_days,
            sum(cap * good) AS evidence_good,
            sum(cap * (good + bad)) AS evidence,
            (evidence_good + prior_weight * 0.5) / (evidence + prior_weight) AS score,
            evidence / (evidence + prior_weight) AS certainty,
            score * (1 - score) / (evidence + prior_weight + 1) AS variance,
            multiIf(
                category = 'task_quality', 0.40,
                category = 'economic', 0.35,
                category = 'identity_hygiene', 0.25,
                0.0) AS share,
            sum(t.events) AS events,
            sum(t.positive) AS positive,
            sum(t.negative) AS negative,
            sum(t.excluded) AS excluded
        FROM by_counterparty AS t
        GROUP BY identity_id, category, anchor_days
    ),
    -- A category without events has the prior: 0.5, and the prior's variance.
    by_anchor AS
    (
        SELECT
            identity_id,
            anchor_days,
            0.5 + sum(share * (score - 0.5)) AS overall,
            sum(share * certainty) AS overall_certainty,
            0.25 / (prior_weight + 1) * (0.40 * 0.40 + 0.35 * 0.35 + 0.25 * 0.25)
                + sum(share * share * (variance - 0.25 / (prior_weight + 1))) AS overall_variance,
            0.5 + sumIf(score - 0.5, category = 'task_quality') AS task_quality,
            0.5 + sumIf(score - 0.5, category = 'economic') AS economic,
            0.5 + sumIf(score - 0.5, category = 'identity_hygiene') AS identity_hygiene,
            sum(c.events) AS events,
            sum(c.positive) AS positive,
            sum(c.negative) AS negative,
            sum(c.excluded) AS excluded,
            sum(c.evidence) AS evidence
        FROM by_category AS c
        WHERE share > 0
        GROUP BY identity_id, anchor_days
    )
SELECT
    identity_id,
    as_of AS computed_at,
    0.5 + sumIf(overall - 0.5, anchor_days = 0) AS overall_score,
    0.5 + sumIf(task_quality - 0.5, anchor_days = 0) AS task_quality_score,
    0.5 + sumIf(economic - 0.5, anchor_days = 0) AS economic_score,
    0.5 + sumIf(identity_hygiene - 0.5, anchor_days = 0) AS identity_hygiene_score,
    sumIf(a.events, anchor_days = 0) AS total_events,
    sumIf(a.positive, anchor_days = 0) AS positive_events,
    sumIf(a.negative, anchor_days = 0) AS negative_events,
    sumIf(overall_certainty, anchor_days = 0) AS confidence,
    0.5 + sumIf(overall - 0.5, anchor_days = 7) AS score_7d_ago,
    0.5 + sumIf(overall - 0.5, anchor_days = 30) AS score_30d_ago,
    greatest(0.0, overall_score - 1.645 * sqrt(if(
        countIf(anchor_days = 0) = 0,
        0.25 / (prior_weight + 1) * (0.40 * 0.40 + 0.35 * 0.35 + 0.25 * 0.25),
        sumIf(overall_variance, anchor_days = 0)))) AS score_lower,
    sumIf(a.evidence, anchor_days = 0) AS effective_events,
    sumIf(a.excluded, anchor_days = 0) AS excluded_events,
    'events-1' AS model_version
FROM by_anchor AS a
GROUP BY identity_id;
