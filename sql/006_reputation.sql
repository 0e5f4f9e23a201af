-- Signals of trust, and the scores made of them.

CREATE TABLE IF NOT EXISTS masques.reputation_events
(
    event_id UUID COMMENT 'id of the event; the same event may be delivered twice and counts once',
    timestamp DateTime64(9, 'UTC') COMMENT 'when it happened, by the clock of the producer',
    identity_id UUID COMMENT 'whom the event is about',
    category LowCardinality(String) COMMENT 'task_quality, economic or identity_hygiene',
    event_type LowCardinality(String) COMMENT 'what happened, for instance task_completed or hold_expired',
    score_delta Float64 COMMENT '-1 to 1; beyond is clamped when scored',
    confidence Float64 COMMENT '0 to 1; beyond is clamped when scored',
    reference_type LowCardinality(String)
        COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String COMMENT 'id of what the event is about, by reference_type; empty for nothing',
    attributes Map(LowCardinality(String), String) COMMENT 'counterparty_id: who caused the event',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row was loaded into this warehouse',
    INDEX event_id_bloom event_id TYPE bloom_filter GRANULARITY 4,
    INDEX identity_id_bloom identity_id TYPE bloom_filter GRANULARITY 4,
    INDEX reference_id_bloom reference_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = /*cluster:Replicated*/MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, identity_id, event_id)
TTL toDate(timestamp) + INTERVAL 3 YEAR
COMMENT 'Signals about identities: one row per judgement, reported by others or derived from the other tables. Filled from the landing zone and by the reputation run.';

CREATE TABLE IF NOT EXISTS masques.reputation_scores
(
    identity_id UUID COMMENT 'whose score',
    computed_at DateTime64(9, 'UTC') COMMENT 'the moment that the scores are of',
    overall_score Float64 COMMENT 'all scores: 0 to 1, 0.5 without evidence',
    task_quality_score Float64 COMMENT 'score of the category task_quality, 0 to 1',
    economic_score Float64 COMMENT 'score of the category economic, 0 to 1',
    identity_hygiene_score Float64 COMMENT 'score of the category identity_hygiene, 0 to 1',
    total_events UInt64 COMMENT 'events in the window',
    positive_events UInt64 COMMENT 'events in the window with score_delta above 0',
    negative_events UInt64 COMMENT 'events in the window with score_delta below 0',
    confidence Float64 COMMENT '0 to 1; 0 without evidence, falls as evidence ages',
    score_7d_ago Float64 COMMENT 'the same model, as of seven days before computed_at',
    score_30d_ago Float64 COMMENT 'the same model, as of thirty days before computed_at',
    score_lower Float64 COMMENT 'rank by this: overall_score less 1.645 standard deviations',
    effective_events Float64 COMMENT 'evidence after decay, weights and caps',
    excluded_events UInt64 COMMENT 'events that count zero',
    model_version LowCardinality(String) COMMENT 'version of the reputation model that made the score'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(computed_at)
ORDER BY identity_id
COMMENT 'One score per identity, 0 to 1. Computed and replaced as a whole by the refreshable view reputation_scores_mv; read it with FINAL.';

-- Refreshable: every hour the whole score table is computed from scratch and swapped in. (A view that
-- runs per inserted block would score each identity by its last block alone.)
--
-- Model events-1, of reputation_events alone: Beta reputation with decay (Josang and Ismail 2002), prior
-- weight 10 at 0.5, half-life 30 days, window 90 days, weights 40/35/25. References are not looked up, so
-- every event weighs 0.2 of its confidence, and one counterparty counts for at most one event in a
-- category. The scores of today, 7 and 30 days ago are one computation over shifted windows. When all
-- files are applied, 096 puts the model of masques_ops in place of this query.
CREATE MATERIALIZED VIEW IF NOT EXISTS masques.reputation_scores_mv
REFRESH EVERY 1 HOUR TO masques.reputation_scores
(
    identity_id UUID COMMENT 'whose score',
    computed_at DateTime64(9, 'UTC') COMMENT 'the moment that the scores are of',
    overall_score Float64 COMMENT 'all scores: 0 to 1, 0.5 without evidence',
    task_quality_score Float64 COMMENT 'score of the category task_quality, 0 to 1',
    economic_score Float64 COMMENT 'score of the category economic, 0 to 1',
    identity_hygiene_score Float64 COMMENT 'score of the category identity_hygiene, 0 to 1',
    total_events UInt64 COMMENT 'events in the window',
    positive_events UInt64 COMMENT 'events in the window with score_delta above 0',
    negative_events UInt64 COMMENT 'events in the window with score_delta below 0',
    confidence Float64 COMMENT '0 to 1; 0 without evidence, falls as evidence ages',
    score_7d_ago Float64 COMMENT 'the same model, as of seven days before computed_at',
    score_30d_ago Float64 COMMENT 'the same model, as of thirty days before computed_at',
    score_lower Float64 COMMENT 'rank by this: overall_score less 1.645 standard deviations',
    effective_events Float64 COMMENT 'evidence after decay, weights and caps',
    excluded_events UInt64 COMMENT 'events that count zero',
    model_version String COMMENT 'version of the reputation model that made the score'
)
AS
WITH
    now64(9, 'UTC') AS as_of,
    10.0 AS prior_weight,
    0.25 / (prior_weight + 1) AS prior_variance,
    -- An event that came twice counts once: the earliest copy.
    events AS
    (
        SELECT
            event_id,
            identity_id,
            category,
            attributes['counterparty_id'] AS counterparty_id,
            greatest(-1.0, least(1.0, score_delta)) AS delta,
            0.2 * greatest(0.0, least(1.0, confidence)) AS weight,
            arrayJoin([0, 7, 30]) AS anchor_days,
            dateDiff('second', timestamp, as_of) / 86400.0 - anchor_days AS age_days
        FROM masques.reputation_events
        WHERE timestamp > as_of - INTERVAL 120 DAY AND timestamp <= as_of
            AND category IN ('task_quality', 'economic', 'identity_hygiene')
        ORDER BY timestamp, ingested_at
        LIMIT 1 BY event_id, anchor_days
    ),
    by_counterparty AS
    (
        SELECT
            identity_id,
            category,
            anchor_days,
            sum(weight * exp2(-age_days / 30) * greatest(delta, 0.0)) AS good,
            sum(weight * exp2(-age_days / 30) * abs(delta)) AS given,
            if(given > 1.0, 1.0 / given, 1.0) AS counted_share,
            count() AS events,
            countIf(delta > 0) AS positive,
            countIf(delta < 0) AS negative,
            countIf(weight = 0) AS excluded
        FROM events
        WHERE age_days >= 0 AND age_days < 90
        GROUP BY identity_id, category, anchor_days, counterparty_id
    ),
    by_category AS
    (
        SELECT
            identity_id,
            category,
            anchor_days,
            transform(category, ['task_quality', 'economic', 'identity_hygiene'],
                [0.40, 0.35, 0.25], 0.0) AS share,
            sum(counted_share * given) AS evidence,
            (sum(counted_share * good) + prior_weight * 0.5) / (evidence + prior_weight) AS score,
            evidence / (evidence + prior_weight) AS certainty,
            score * (1 - score) / (evidence + prior_weight + 1) AS variance,
            sum(c.events) AS events,
            sum(c.positive) AS positive,
            sum(c.negative) AS negative,
            sum(c.excluded) AS excluded
        FROM by_counterparty AS c
        GROUP BY identity_id, category, anchor_days
    )
-- A category without events has the prior: score 0.5 with the prior's variance.
SELECT
    identity_id,
    as_of AS computed_at,
    0.5 + sumIf(share * (score - 0.5), anchor_days = 0) AS overall_score,
    0.5 + sumIf(score - 0.5, anchor_days = 0 AND category = 'task_quality') AS task_quality_score,
    0.5 + sumIf(score - 0.5, anchor_days = 0 AND category = 'economic') AS economic_score,
    0.5 + sumIf(score - 0.5, anchor_days = 0 AND category = 'identity_hygiene')
        AS identity_hygiene_score,
    sumIf(c.events, anchor_days = 0) AS total_events,
    sumIf(c.positive, anchor_days = 0) AS positive_events,
    sumIf(c.negative, anchor_days = 0) AS negative_events,
    sumIf(share * certainty, anchor_days = 0) AS confidence,
    0.5 + sumIf(share * (score - 0.5), anchor_days = 7) AS score_7d_ago,
    0.5 + sumIf(share * (score - 0.5), anchor_days = 30) AS score_30d_ago,
    greatest(0.0, overall_score - 1.645 * sqrt(
        prior_variance * (0.40 * 0.40 + 0.35 * 0.35 + 0.25 * 0.25)
        + sumIf(share * share * (variance - prior_variance), anchor_days = 0))) AS score_lower,
    sumIf(c.evidence, anchor_days = 0) AS effective_events,
    sumIf(c.excluded, anchor_days = 0) AS excluded_events,
    'events-1' AS model_version
FROM by_category AS c
GROUP BY identity_id
COMMENT 'Refreshable view: computes all scores every hour and swaps them into masques.reputation_scores.';
