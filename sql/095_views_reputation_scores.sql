-- Reputation, step 2 of 2: the scores, of the evidence and of the standing of payers.
--
-- These views take two moments. as_of is the moment that is asked about: events after it are left out
-- and ages count back from it. known_at is the moment of knowledge: what was written down later is left
-- out. A run asks with both alike; the same question put later gets the same answer.

CREATE OR REPLACE VIEW masques_ops.reputation_standing_at AS
SELECT
    s.voice AS voice, argMax(s.standing, s.known_from) AS standing,
    argMax(s.backed_usd, s.known_from) AS backed_usd
FROM masques_ops.reputation_standing AS s
WHERE s.known_from <= {known_at:DateTime64(9, 'UTC')}
GROUP BY voice
COMMENT 'How much the word of each payer cluster counts, and what trade backs each identity. Parameters: known_at - facts written later are left out. Columns: voice - cityHash64 of the payer cluster, or of the identity; standing - 0 to 1; backed_usd - USD that it was paid, by how much its payers are trusted.';

-- What each voice says of an identity, and what of it counts. The moments 7 and 30 days ago (the second
-- and third of each array) are the same sums over shifted windows: a weight of then is today's weight
-- times 2 ^ (days / half-life), so no event is read thrice.
CREATE OR REPLACE VIEW masques_ops.reputation_voices_at AS
WITH
    (SELECT m.numbers FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m) AS n,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(timestamp)) / 86400e9 AS age_days,
    sign * weight * delta * exp2(-age_days / n['half_life_days']) AS worth
SELECT
    v.identity_id AS identity_id, v.category_code AS category_code, v.voice AS voice, v.said AS said,
    if(v.voice > 1, s.standing, 1.0) AS standing,
    -- All without money behind it shares one cap, and so do the attested. Praise of a payer counts by its
    -- standing, blame by the money at stake alone: the blamed side keeps it.
    arrayMap(x -> multiIf(
        v.voice = 0, greatest(-n['cap_free'], least(x, n['cap_free'])),
        v.voice = 1, greatest(-n['cap_attested'], least(x, n['cap_attested'])),
        x > 0, s.standing * n['weight_praise'] * least(x, sqrt(x), n['cap_payer']),
        greatest(n['weight_blame'] * x, -n['cap_blame'])), v.said) AS counted
FROM
(
    SELECT
        identity_id, category_code, voice,
        [
            sumIf(worth, age_days < n['window_days']),
            sumIf(worth, age_days >= 7 AND age_days < n['window_days'] + 7) * exp2(7 / n['half_life_days']),
            sumIf(worth, age_days >= 30) * exp2(30 / n['half_life_days'])
        ] AS said
    FROM masques_ops.reputation_evidence
    WHERE known_from <= {known_at:DateTime64(9, 'UTC')} AND timestamp <= as_of
        AND timestamp > as_of - toIntervalSecond((n['window_days'] + 30) * 86400)
    GROUP BY identity_id, category_code, voice
    -- What was taken back leaves no trace, not even a rounding error.
    HAVING sum(sign) != 0
) AS v
LEFT ANY JOIN masques_ops.reputation_standing_at(known_at = {known_at:DateTime64(9, 'UTC')}) AS s
    ON s.voice = v.voice
COMMENT 'What each voice says of an identity in a category, and what of it counts, now and 7 and 30 days before. Parameters: as_of - the moment of the question; known_at - facts written later are left out. Columns: identity_id, category_code, voice - as in masques_ops.reputation_evidence; said - evidence for less evidence against; standing - how much praise of the voice counts; counted - what counts of it, before the limit by trade.';

-- What is for and against each identity. All its praise by payers is limited by the trade that backs it,
-- and what is left is lost to blame.
CREATE OR REPLACE VIEW masques_ops.reputation_categories_at AS
WITH
    (SELECT m.numbers FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m) AS n
SELECT
    c.identity_id AS identity_id, c.category_code AS category_code,
    arrayMap((whole, blame, most) -> most / greatest(whole, 1e-300)
            * (1 - pow(least(1.0, blame / greatest(n['blame_ruins'] * most, 1e-300)), 3)),
        sumForEach(c.praise) OVER same AS whole, sumForEach(c.blame) OVER same,
        arrayMap(x -> least(x, n['limit_per_usd'] * s.backed_usd), whole)) AS believed,
    arrayMap((plus, praise, share) -> plus + praise * share, c.plus, c.praise, believed) AS good,
    c.bad AS bad
FROM
(
    SELECT
        identity_id, category_code,
        sumForEach(arrayMap(x -> (voice <= 1) * greatest(0.0, x), counted)) AS plus,
        sumForEach(arrayMap(x -> (voice > 1) * greatest(0.0, x), counted)) AS praise,
        sumForEach(arrayMap(x -> (voice > 1) * -least(0.0, x), counted)) AS blame,
        sumForEach(arrayMap(x -> -least(0.0, x), counted)) AS bad
    FROM masques_ops.reputation_voices_at(
        as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')})
    GROUP BY identity_id, category_code
) AS c
LEFT ANY JOIN masques_ops.reputation_standing_at(known_at = {known_at:DateTime64(9, 'UTC')}) AS s
    ON s.voice = cityHash64(c.identity_id)
WINDOW same AS (PARTITION BY c.identity_id)
COMMENT 'What is for and against each identity in a category, now and 7 and 30 days before. Parameters: as_of - the moment of the question; known_at - facts written later are left out. Columns: identity_id, category_code - as in masques_ops.reputation_evidence; believed - the share of its praise by payers that counts; good, bad - the evidence for and against it.';

-- The scores of every identity at as_of, by what was known at known_at: the one computation of scores in
-- the project. Beta reputation with decay; docs/reputation.md has the formula.
CREATE OR REPLACE VIEW masques_ops.reputation_scores_at AS
WITH
    (SELECT (m.numbers, m.model_version) FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m) AS model,
    model.1 AS n,
    {as_of:DateTime64(9, 'UTC')} AS as_of,
    n['prior_weight'] AS prior,
    n['prior_score'] AS unknown,
    ((good, bad) -> (good + prior * unknown) / (good + bad + prior) - unknown) AS gain,
    unknown * (1 - unknown) / (prior + 1) AS prior_variance,
    [n['share_task_quality'], n['share_economic'], n['share_identity_hygiene']] AS shares,
    shares[category_code] AS share,
    gain(good[1], bad[1]) AS moved,
    good[1] + bad[1] AS evidence,
    known AS
    (
        SELECT identity_id, category_code, good, bad, 0 AS events, 0 AS positive, 0 AS negative, 0 AS excluded
        FROM masques_ops.reputation_categories_at(
            as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')})
        UNION ALL
        -- Apart: in the groups of voices they would take a fifth of the memory.
        SELECT
            identity_id, 1, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0],
            sum(sign), sumIf(sign, delta > 0), sumIf(sign, delta < 0), sumIf(sign, weight = 0)
        FROM masques_ops.reputation_evidence
        WHERE known_from <= {known_at:DateTime64(9, 'UTC')} AND timestamp <= as_of
            AND timestamp > as_of - toIntervalSecond(n['window_days'] * 86400)
        GROUP BY identity_id
        HAVING sum(sign) != 0
        UNION ALL
        -- Who has no evidence has the prior.
        SELECT DISTINCT identity_id, 1, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 0, 0, 0, 0
        FROM masques.identities
        WHERE created_at <= as_of
    )
SELECT
    identity_id,
    as_of AS computed_at,
    unknown + sum(share * moved) AS overall_score,
    unknown + sumIf(moved, category_code = 1) AS task_quality_score,
    unknown + sumIf(moved, category_code = 2) AS economic_score,
    unknown + sumIf(moved, category_code = 3) AS identity_hygiene_score,
    toUInt64(sum(k.events)) AS total_events,
    toUInt64(sum(k.positive)) AS positive_events,
    toUInt64(sum(k.negative)) AS negative_events,
    sum(share * evidence / (evidence + prior)) AS confidence,
    unknown + sum(share * gain(good[2], bad[2])) AS score_7d_ago,
    unknown + sum(share * gain(good[3], bad[3])) AS score_30d_ago,
    greatest(0.0, overall_score - n['lower_deviations'] * sqrt(greatest(0.0,
        prior_variance * arraySum(x -> x * x, shares) + sum(share * share * (
            (unknown + moved) * (1 - unknown - moved) / (evidence + prior + 1) - prior_variance))))) AS score_lower,
    sum(evidence) AS effective_events,
    toUInt64(sum(k.excluded)) AS excluded_events,
    model.2 AS model_version
FROM known AS k
GROUP BY identity_id
COMMENT 'The scores of every identity at one moment, by what was known at another. The one computation of scores. Parameters: as_of - the moment of the question: later events are left out; known_at - facts written later are left out. Columns: identity_id .. model_version - as in masques.reputation_scores.';

CREATE OR REPLACE VIEW masques_ops.reputation_scores_as_of AS
SELECT
    identity_id, computed_at, overall_score, task_quality_score, economic_score,
    identity_hygiene_score, total_events, positive_events, negative_events, confidence,
    score_7d_ago, score_30d_ago, score_lower, effective_events, excluded_events, model_version
FROM masques_ops.reputation_scores_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {as_of:DateTime64(9, 'UTC')})
COMMENT 'The scores that a run at a moment computed: only what was known then. Parameters: as_of - the moment. Columns: identity_id .. model_version - as in masques_ops.reputation_scores_at.';

-- Rows of the evidence that were taken back, and those that took them back, are left out in pairs.
CREATE OR REPLACE VIEW masques_ops.reputation_contributions_at AS
WITH
    (SELECT m.numbers FROM masques_ops.reputation_model(known_at = {known_at:DateTime64(9, 'UTC')}) AS m) AS n,
    {as_of:DateTime64(9, 'UTC')} AS as_of
SELECT
    e.identity_id AS identity_id,
    ['task_quality', 'economic', 'identity_hygiene'][e.category_code] AS category,
    e.event_type AS event_type, e.timestamp AS timestamp, e.age_days AS age_days,
    e.event_id AS event_id, e.delta AS delta,
    ['money', 'attested', 'free', 'unpriced', 'self_dealing', 'refunded', 'reorged', 'contradicted',
        'not_theirs'][e.reason_code] AS reason,
    e.usd AS usd, e.aged_weight AS weight, v.standing AS standing,
    -- Each event has its share of what counts of all that its voice says.
    if(v.said[1] = 0, 0.0, v.counted[1] / v.said[1])
        * if(v.voice > 1 AND v.said[1] > 0, c.believed[1], 1.0) AS counted_share,
    e.counterparty_id AS counterparty_id, e.cluster_id AS cluster_id,
    e.reference_type AS reference_type, e.reference_id AS reference_id,
    c.good[1] + c.bad[1] AS category_evidence,
    [n['share_task_quality'], n['share_economic'], n['share_identity_hygiene']][e.category_code]
        * counted_share * weight * delta * if(v.said[1] > 0, 1 - n['prior_score'], n['prior_score'])
        / (category_evidence + n['prior_weight']) AS effect
FROM
(
    SELECT
        identity_id, category_code, voice, timestamp, reason_code, delta, usd, event_id, event_type,
        reference_type, reference_id, counterparty_id, cluster_id,
        (toUnixTimestamp64Nano(as_of) - toUnixTimestamp64Nano(timestamp)) / 86400e9 AS age_days,
        weight * exp2(-age_days / n['half_life_days']) AS aged_weight
    FROM masques_ops.reputation_evidence
    WHERE known_from <= {known_at:DateTime64(9, 'UTC')} AND timestamp <= as_of
        AND timestamp > as_of - toIntervalSecond(n['window_days'] * 86400)
    GROUP BY ALL
    HAVING sum(sign) != 0
) AS e
INNER JOIN masques_ops.reputation_voices_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS v
    ON v.identity_id = e.identity_id AND v.category_code = e.category_code AND v.voice = e.voice
INNER JOIN masques_ops.reputation_categories_at(
    as_of = {as_of:DateTime64(9, 'UTC')}, known_at = {known_at:DateTime64(9, 'UTC')}) AS c
    ON c.identity_id = e.identity_id AND c.category_code = e.category_code
COMMENT 'How each event of the window moves the score. For one identity the effects add up to overall_score less the prior. Parameters: as_of - the moment of the question; known_at - facts written later are left out. Columns: identity_id .. effect - as in masques_marts.reputation_contributions.';

-- The refreshable view asks the one computation. Up to a gigabyte of groups stay in memory, about ten
-- million; more go by the disk. It swaps the whole table in at once.
ALTER TABLE masques.reputation_scores_mv MODIFY QUERY
SELECT
    identity_id, computed_at, overall_score, task_quality_score, economic_score, identity_hygiene_score,
    total_events, positive_events, negative_events, confidence, score_7d_ago, score_30d_ago, score_lower,
    effective_events, excluded_events, model_version
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
