-- Reputation, step 3 of 4: the scores, of the evidence log and of what payer clusters bought.
--
-- These views take two moments. as_of is the moment that is asked about: events after it are left out
-- and ages count back from it. known_at is the moment of knowledge: what was written down later is left
-- out. A run asks with both alike; the same question put later gets the same answer.

-- What each payer cluster paid each other one in the window of each anchor, in USD, by what was known
-- then. Refunds count back.
CREATE OR REPLACE VIEW masques_ops.reputation_flows AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    rates AS
    (
        SELECT toString(r.currency) AS currency, quoted_at, toFloat64(argMin(usd, ingested_at)) AS usd
        FROM masques_ops.exchange_rates AS r
        WHERE ingested_at <= {known_at:DateTime64(9, 'UTC')}
        GROUP BY currency, quoted_at
    ),
    parties AS
    (
        SELECT party_id, cityHash64(cluster_id) AS cluster_key, cluster_id = nobody AS is_platform
        FROM masques_ops.reputation_parties
        WHERE is_account = 1 AND known_from <= {known_at:DateTime64(9, 'UTC')}
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    moved AS
    (
        SELECT
            if(transaction_type = 'refund', credit_account_id, debit_account_id) AS payer_account_id,
            if(transaction_type = 'refund', debit_account_id, credit_account_id) AS payee_account_id,
            if(transaction_type = 'refund', -1, 1) * toFloat64(amount) AS units,
            toString(currency) AS currency,
            timestamp,
            (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(timestamp)) / 86400e9 AS age_days
        FROM masques.transactions AS t
        WHERE (has(model.purchase_types, transaction_type) OR transaction_type = 'refund')
            AND event_type IN ('single_phase', 'two_phase_posted')
            AND timestamp > as_of - toIntervalSecond((model.window_days + 30) * 86400)
            AND timestamp <= as_of
            AND ingested_at <= {known_at:DateTime64(9, 'UTC')}
    ),
    priced AS
    (
        SELECT
            payer.cluster_key AS cluster_key,
            payee.cluster_key AS seller_cluster_key,
            m.age_days AS age_days,
            m.units * multiIf(
                m.currency = 'USD', 1.0,
                rate.currency = '' OR dateDiff('second', rate.quoted_at, m.timestamp)
                    > model.rate_age_max_days * 86400, 0.0,
                rate.usd) AS usd
        FROM moved AS m
        LEFT ANY JOIN parties AS payer ON payer.party_id = m.payer_account_id
        LEFT ANY JOIN parties AS payee ON payee.party_id = m.payee_account_id
        ASOF LEFT JOIN rates AS rate
            ON rate.currency = m.currency AND m.timestamp >= rate.quoted_at
        WHERE cluster_key != seller_cluster_key AND payer.party_id != nobody
            AND payee.party_id != nobody AND NOT payer.is_platform AND NOT payee.is_platform
    )
SELECT
    cluster_key,
    seller_cluster_key,
    sumIf(p.usd, age_days < model.window_days) AS usd_0,
    sumIf(p.usd, age_days >= 7 AND age_days < model.window_days + 7) AS usd_7,
    sumIf(p.usd, age_days >= 30) AS usd_30
FROM priced AS p
GROUP BY cluster_key, seller_cluster_key
COMMENT 'What each payer cluster paid each other one, in USD, refunds subtracted. Parameters: as_of - the moment of the question; known_at - facts written later are left out. Columns: cluster_key - cityHash64 of the cluster that paid; seller_cluster_key - cityHash64 of the cluster that was paid; usd_0, usd_7, usd_30 - USD in the window that ends 0, 7 or 30 days before as_of.';

-- What each payer cluster bought beyond its main seller, in USD. Money that goes to one seller says
-- little about the payer, and money that comes back says nothing: between two clusters only what one
-- paid more than the other counts.
CREATE OR REPLACE VIEW masques_ops.reputation_spending AS
WITH
    between AS
    (
        SELECT
            least(cluster_key, seller_cluster_key) AS one,
            greatest(cluster_key, seller_cluster_key) AS other,
            sum(if(cluster_key = one, f.usd_0, -f.usd_0)) AS net_0,
            sum(if(cluster_key = one, f.usd_7, -f.usd_7)) AS net_7,
            sum(if(cluster_key = one, f.usd_30, -f.usd_30)) AS net_30
        FROM masques_ops.reputation_flows(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS f
        GROUP BY one, other
    ),
    sides AS
    (
        SELECT arrayJoin([(one, net_0, net_7, net_30), (other, -net_0, -net_7, -net_30)]) AS side
        FROM between
    )
SELECT
    side.1 AS cluster_key,
    sum(greatest(0.0, side.2)) - greatest(0.0, max(side.2)) AS usd_0,
    sum(greatest(0.0, side.3)) - greatest(0.0, max(side.3)) AS usd_7,
    sum(greatest(0.0, side.4)) - greatest(0.0, max(side.4)) AS usd_30
FROM sides
GROUP BY cluster_key
COMMENT 'What each payer cluster bought beyond its main seller, in USD. Parameters: as_of - the moment of the question; known_at - facts written later are left out. Columns: cluster_key - cityHash64 of the cluster; usd_0, usd_7, usd_30 - USD in the window that ends 0, 7 or 30 days before as_of.';

-- What each payer cluster gives each identity in each category, and how much of it counts: its cap
-- is cap_least, and more for a cluster that bought elsewhere, by the logarithm of the USD.
CREATE OR REPLACE VIEW masques_ops.reputation_capped AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(timestamp)) / 86400e9 AS age_days,
    sign * (age_days < model.window_days) AS in_0,
    sign * (age_days >= 7 AND age_days < model.window_days + 7) AS in_7,
    sign * (age_days >= 30) AS in_30,
    -- What it weighs by its reason, and how much that is worth by its age.
    multiIf(
        reason_code = 1, kept_share * if(usd < 0, 1.0,
            greatest(model.dust_least, least(1.0, usd / model.dust_usd))),
        reason_code = 2, model.weight_plain,
        reason_code = 3, 1.0,
        reason_code = 4, model.weight_ungrounded,
        0.0) AS grounding,
    quality * grounding * exp2(-age_days / model.half_life_days) * abs(delta) AS worth,
    by_cluster AS
    (
        SELECT
            identity_id,
            category_code,
            cluster_key,
            sum(in_0 * worth * (delta > 0)) AS good_0,
            sum(in_7 * worth * (delta > 0)) AS good_7,
            sum(in_30 * worth * (delta > 0)) AS good_30,
            sum(in_0 * worth) AS evidence_0,
            sum(in_7 * worth) AS evidence_7,
            sum(in_30 * worth) AS evidence_30,
            sum(sign * is_attested) AS attested
        FROM masques_ops.reputation_evidence_log
        WHERE known_from <= {known_at:DateTime64(9, 'UTC')}
            AND timestamp > as_of - toIntervalSecond((model.window_days + 30) * 86400)
            AND timestamp <= as_of
        GROUP BY identity_id, category_code, cluster_key
        -- What was taken back leaves no trace, not even a rounding error.
        HAVING sum(sign) != 0
    )
SELECT
    g.identity_id AS identity_id,
    g.category_code AS category_code,
    g.cluster_key AS cluster_key,
    g.good_0 AS good_0,
    g.good_7 * exp2(7 / model.half_life_days) AS good_7,
    g.good_30 * exp2(30 / model.half_life_days) AS good_30,
    g.evidence_0 AS evidence_0,
    g.evidence_7 * exp2(7 / model.half_life_days) AS evidence_7,
    g.evidence_30 * exp2(30 / model.half_life_days) AS evidence_30,
    if(g.attested > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_0))) AS cap_0,
    if(g.attested > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_7))) AS cap_7,
    if(g.attested > 0, model.cap_attestor,
        least(model.cap_most, model.cap_least + log2(1 + s.usd_30))) AS cap_30,
    if(evidence_0 > cap_0, cap_0 / evidence_0, 1.0) AS counted_0,
    if(evidence_7 > cap_7, cap_7 / evidence_7, 1.0) AS counted_7,
    if(evidence_30 > cap_30, cap_30 / evidence_30, 1.0) AS counted_30
FROM by_cluster AS g
LEFT ANY JOIN masques_ops.reputation_spending(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS s
    ON s.cluster_key = g.cluster_key
COMMENT 'What each payer cluster gives each identity in each category, and how much of it counts. Parameters: as_of - the moment of the question; known_at - facts written later are left out. Columns: identity_id - whose score; category_code - 1 task_quality, 2 economic, 3 identity_hygiene; cluster_key - cityHash64 of the payer cluster; good_0, good_7, good_30 - aged weight of good judgements, 0, 7 and 30 days before as_of; evidence_0, evidence_7, evidence_30 - aged weight of all judgements; cap_0, cap_7, cap_30 - the most that counts of the cluster; counted_0, counted_7, counted_30 - the share of the evidence that counts, 0 to 1.';

-- How many events each identity has in the window, and of what kind.
CREATE OR REPLACE VIEW masques_ops.reputation_counted AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    sign * (timestamp > as_of - toIntervalSecond(model.window_days * 86400)) AS in_window
SELECT
    identity_id,
    sum(in_window) AS events,
    sum(in_window * (delta > 0)) AS positive,
    sum(in_window * (delta < 0)) AS negative,
    sum(in_window * (quality = 0 OR reason_code >= 5
        OR reason_code = 1 AND kept_share = 0
        OR reason_code = 1 AND usd >= 0 AND usd <= 0 AND model.dust_least = 0
        OR reason_code = 2 AND model.weight_plain = 0
        OR reason_code = 4 AND model.weight_ungrounded = 0)) AS excluded,
    sum(in_window * (reason_code = 1 AND usd < 0)) AS unpriced
FROM masques_ops.reputation_evidence_log
WHERE known_from <= {known_at:DateTime64(9, 'UTC')}
    AND timestamp > as_of - toIntervalSecond((model.window_days + 30) * 86400)
    AND timestamp <= as_of
GROUP BY identity_id
HAVING sum(sign) != 0
COMMENT 'How many events each identity has in the window, and of what kind. Parameters: as_of - the moment of the question; known_at - facts written later are left out. Columns: identity_id - whose events; events, positive, negative - events, those with delta above 0 and below 0; excluded - events that count zero; unpriced - events whose payment has no exchange rate.';

-- The scores of every identity at as_of, by what was known at known_at. This is the one computation
-- of scores in the project: the refreshable view, the schedule, questions about the past and the
-- tests all ask here. Beta reputation (Josang and Ismail 2002) with decay; docs/reputation.md has
-- the formula and the attacks it was made against.
--
-- The anchors 7 and 30 days ago are the same sums over shifted windows: a weight at an anchor is
-- today's weight times 2 ^ (anchor / half-life), so no event is read thrice.
CREATE OR REPLACE VIEW masques_ops.reputation_scores_at AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m))
        AS model,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    model.share_task_quality * model.share_task_quality
        + model.share_economic * model.share_economic
        + model.share_identity_hygiene * model.share_identity_hygiene AS squared_shares,
    model.prior_score * (1 - model.prior_score) / (model.prior_weight + 1) AS prior_variance,
    by_category AS
    (
        SELECT
            identity_id,
            category_code,
            [0, 7, 30] AS anchors,
            [sum(counted_0 * good_0), sum(counted_7 * good_7), sum(counted_30 * good_30)] AS goods,
            [sum(counted_0 * evidence_0), sum(counted_7 * evidence_7),
                sum(counted_30 * evidence_30)] AS evidences,
            max(counted_0 * evidence_0) AS largest,
            countIf(evidence_0 > 0) AS clusters
        FROM masques_ops.reputation_capped(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS g
        GROUP BY identity_id, category_code
    ),
    by_anchor AS
    (
        SELECT
            identity_id,
            category_code,
            anchor,
            evidence,
            [model.share_task_quality, model.share_economic, model.share_identity_hygiene]
                [category_code] AS share,
            (good + model.prior_weight * model.prior_score) / (evidence + model.prior_weight)
                - model.prior_score AS gain,
            evidence / (evidence + model.prior_weight) AS certainty,
            (model.prior_score + gain) * (1 - model.prior_score - gain)
                / (evidence + model.prior_weight + 1) - prior_variance AS variance_gain,
            largest, clusters, 0 AS events, 0 AS positive, 0 AS negative, 0 AS excluded, 0 AS unpriced
        FROM by_category
        ARRAY JOIN anchors AS anchor, goods AS good, evidences AS evidence
        UNION ALL
        SELECT
            identity_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, c.events, c.positive, c.negative, c.excluded,
            c.unpriced
        FROM masques_ops.reputation_counted(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS c
        UNION ALL
        -- Who has no evidence has the prior.
        SELECT DISTINCT identity_id, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
        FROM masques.identities
        WHERE created_at <= as_of
    )
SELECT
    identity_id,
    as_of AS computed_at,
    model.prior_score + sumIf(share * gain, anchor = 0) AS overall_score,
    model.prior_score + sumIf(gain, anchor = 0 AND category_code = 1) AS task_quality_score,
    model.prior_score + sumIf(gain, anchor = 0 AND category_code = 2) AS economic_score,
    model.prior_score + sumIf(gain, anchor = 0 AND category_code = 3)
        AS identity_hygiene_score,
    toUInt64(sumIf(a.events, anchor = 0)) AS total_events,
    toUInt64(sumIf(a.positive, anchor = 0)) AS positive_events,
    toUInt64(sumIf(a.negative, anchor = 0)) AS negative_events,
    sumIf(share * certainty, anchor = 0) AS confidence,
    model.prior_score + sumIf(share * gain, anchor = 7) AS score_7d_ago,
    model.prior_score + sumIf(share * gain, anchor = 30) AS score_30d_ago,
    greatest(0.0, overall_score - model.lower_deviations * sqrt(
        squared_shares * prior_variance + sumIf(share * share * variance_gain, anchor = 0)))
        AS score_lower,
    sumIf(a.evidence, anchor = 0) AS effective_events,
    toUInt64(sumIf(a.excluded, anchor = 0)) AS excluded_events,
    model.version AS model_version,
    toUInt64(sumIf(a.unpriced, anchor = 0)) AS unpriced_events,
    toUInt64(maxIf(a.clusters, anchor = 0)) AS payer_clusters,
    if(effective_events > 0, maxIf(a.largest, anchor = 0) / effective_events, 0.0)
        AS largest_cluster_share
FROM by_anchor AS a
GROUP BY identity_id
COMMENT 'The scores of every identity at one moment, by what was known at another. The one computation of scores. Parameters: as_of - the moment of the question: later events are left out; known_at - facts written later are left out. Columns: identity_id .. model_version - as in masques.reputation_scores; unpriced_events - events whose payment has no exchange rate; payer_clusters - most payer clusters with evidence in one category; largest_cluster_share - share of the effective events that the largest cluster gives, 0 to 1.';

-- What a run at as_of gave: only what was known then.
CREATE OR REPLACE VIEW masques_ops.reputation_scores_as_of AS
SELECT
    identity_id, computed_at, overall_score, task_quality_score, economic_score,
    identity_hygiene_score, total_events, positive_events, negative_events, confidence,
    score_7d_ago, score_30d_ago, score_lower, effective_events, excluded_events, model_version,
    unpriced_events, payer_clusters, largest_cluster_share
FROM masques_ops.reputation_scores_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {as_of:DateTime64(9, 'UTC')})
COMMENT 'The scores that a run at a moment computed: only what was known then. Parameters: as_of - the moment. Columns: identity_id .. largest_cluster_share - as in masques_ops.reputation_scores_at.';

-- The refreshable view asks the one computation. Up to a gigabyte of groups stay in memory, about ten
-- million; more go by the disk. It swaps the whole table in at once.
ALTER TABLE masques.reputation_scores_mv MODIFY QUERY
SELECT
    identity_id,
    computed_at,
    overall_score,
    task_quality_score,
    economic_score,
    identity_hygiene_score,
    total_events,
    positive_events,
    negative_events,
    confidence,
    score_7d_ago,
    score_30d_ago,
    score_lower,
    effective_events,
    excluded_events,
    model_version
FROM masques_ops.reputation_scores_as_of(as_of = now64(9, 'UTC'))
SETTINGS max_bytes_before_external_group_by = 1000000000, max_bytes_ratio_before_external_group_by = 0,
    compile_expressions = 0, compile_aggregate_expressions = 0, compile_sort_description = 0;

-- A new query takes the comments away. Apart from it: the engine looks for the columns to comment among
-- those of the query before.
ALTER TABLE masques.reputation_scores_mv
    COMMENT COLUMN identity_id 'whose score',
    COMMENT COLUMN computed_at 'the moment that the scores are of',
    COMMENT COLUMN overall_score 'all scores: 0 to 1, 0.5 without evidence',
    COMMENT COLUMN task_quality_score 'score of the category task_quality, 0 to 1',
    COMMENT COLUMN economic_score 'score of the category economic, 0 to 1',
    COMMENT COLUMN identity_hygiene_score 'score of the category identity_hygiene, 0 to 1',
    COMMENT COLUMN total_events 'events in the window',
    COMMENT COLUMN positive_events 'events in the window with score_delta above 0',
    COMMENT COLUMN negative_events 'events in the window with score_delta below 0',
    COMMENT COLUMN confidence '0 to 1; 0 without evidence, falls as evidence ages',
    COMMENT COLUMN score_7d_ago 'the same model, as of seven days before computed_at',
    COMMENT COLUMN score_30d_ago 'the same model, as of thirty days before computed_at',
    COMMENT COLUMN score_lower 'rank by this: overall_score less 1.645 standard deviations',
    COMMENT COLUMN effective_events 'evidence after decay, weights and caps',
    COMMENT COLUMN excluded_events 'events that count zero',
    COMMENT COLUMN model_version 'version of the reputation model that made the score';
