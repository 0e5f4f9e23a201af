-- Views for people: everything in masques_marts.

-- What happened to each hold. One row for each, before any merge: sum this, never the events.
CREATE OR REPLACE VIEW masques_marts.holds AS
SELECT
    transaction_id,
    anyIf(e.timestamp, is_hold) AS held_at,
    anyIf(e.debit_account_id, is_hold) AS debit_account_id,
    anyIf(e.credit_account_id, is_hold) AS credit_account_id,
    anyIf(e.ledger, is_hold) AS ledger,
    anyIf(e.currency, is_hold) AS currency,
    anyIf(e.transaction_type, is_hold) AS transaction_type,
    anyIf(e.timeout_s, is_hold) AS timeout_s,
    anyIf(e.amount, is_hold) AS held,
    sumIf(e.amount, e.event_type = 'two_phase_posted') AS posted,
    if(resolutions = 0, toDecimal256(0, 18), held - posted) AS released,
    if(resolutions = 0, held, toDecimal256(0, 18)) AS open,
    multiIf(
        holds = 0, 'unknown',
        resolutions = 0, 'open',
        resolutions > 1, 'conflicting',
        countIf(e.event_type = 'two_phase_voided') = 1, 'voided',
        countIf(e.event_type = 'two_phase_expired') = 1, 'expired',
        posted < held, 'posted_partly',
        'posted') AS state,
    if(resolutions = 0, NULL, maxIf(e.timestamp, NOT is_hold)) AS resolved_at,
    countIf(is_hold) AS holds,
    countIf(NOT is_hold) AS resolutions
FROM
(
    SELECT
        t.timestamp AS timestamp,
        t.debit_account_id AS debit_account_id,
        t.credit_account_id AS credit_account_id,
        t.ledger AS ledger,
        t.currency AS currency,
        t.transaction_type AS transaction_type,
        t.timeout_s AS timeout_s,
        t.amount AS amount,
        t.event_type AS event_type,
        t.pending_id AS pending_id,
        t.event_type = 'two_phase_pending' AS is_hold,
        t.transaction_id AS event_id
    FROM masques.transactions AS t
    WHERE t.event_type != 'single_phase'
) AS e
GROUP BY if(is_hold, e.event_id, assumeNotNull(e.pending_id)) AS transaction_id;

-- Balances of each account at the end of each day on which they changed, proved. The newest day may
-- still be going on. Reading one account reads that account's days and nothing else.
CREATE OR REPLACE VIEW masques_marts.account_history AS
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0),
            arrayPushBack(groupArray(l.asset), 'ledger_0'))
        FROM masques_ops.chart_ledgers AS l
    ) AS chart
SELECT
    d.account_id AS account_id,
    d.day AS day,
    d.ledger AS ledger,
    transform(d.ledger, chart.1, chart.3, concat('ledger_', toString(d.ledger))) AS currency,
    toInt256(intExp10(18 - transform(d.ledger, chart.1, chart.2, 0))) AS unit,
    reinterpret(unit * sum(d.debited) OVER account, 'Decimal(76, 18)') AS debits_posted,
    reinterpret(unit * sum(d.credited) OVER account, 'Decimal(76, 18)') AS credits_posted,
    reinterpret(unit * sum(d.debits_held) OVER account, 'Decimal(76, 18)') AS debits_pending,
    reinterpret(unit * sum(d.credits_held) OVER account, 'Decimal(76, 18)') AS credits_pending,
    credits_posted - debits_posted AS balance,
    reinterpret(unit * d.debited, 'Decimal(76, 18)') AS debited_that_day,
    reinterpret(unit * d.credited, 'Decimal(76, 18)') AS credited_that_day,
    d.movements AS movements
FROM
(
    SELECT
        r.account_id AS account_id,
        r.day AS day,
        any(r.ledger) AS ledger,
        sum(r.debits_posted) AS debited,
        sum(r.credits_posted) AS credited,
        sum(r.debits_pending) AS debits_held,
        sum(r.credits_pending) AS credits_held,
        sum(r.movements) AS movements
    FROM masques_ops.account_days AS r FINAL
    WHERE r.checkpoint_ns IN (SELECT c.checkpoint_ns FROM masques_ops.balance_checkpoints AS c)
    GROUP BY r.account_id, r.day
) AS d
WINDOW account AS (PARTITION BY d.account_id ORDER BY d.day);

-- Each identity as it is now.
CREATE OR REPLACE VIEW masques_marts.identities_current AS
SELECT
    identity_id, identity_type, created_at, display_name, attributes, external_ids, status,
    status_reason, updated_at, ingested_at
FROM masques.identities FINAL;

-- Each session once, from whatever was reported of it: a don, a doff, or a complete report. What
-- the later report says of a field wins over an empty one, never the other way round.
CREATE OR REPLACE VIEW masques_marts.sessions_current AS
SELECT
    r.session_id AS session_id,
    maxIf(r.identity_id, r.identity_id != toUUID('00000000-0000-0000-0000-000000000000'))
        AS identity_id,
    max(toString(r.masque_name)) AS masque_name,
    max(toString(r.masque_version)) AS masque_version,
    max(toString(r.masque_source)) AS masque_source,
    min(r.donned_at) AS donned_at,
    coalesce(
        max(r.doffed_at),
        max(fromUnixTimestamp64Nano(
            toUnixTimestamp64Nano(r.donned_at) + toInt64(r.duration_ms) * 1000000, 'UTC')))
        AS doffed_at,
    coalesce(
        max(r.duration_ms),
        toUInt64(intDiv(
            toUnixTimestamp64Nano(max(r.doffed_at)) - toUnixTimestamp64Nano(min(r.donned_at)),
            1000000))) AS duration_ms,
    max(r.intent) AS intent,
    argMax(r.client_info, length(r.client_info)) AS client_info,
    max(r.trace_id) AS trace_id,
    maxIf(r.author_id, r.author_id != toUUID('00000000-0000-0000-0000-000000000000')) AS author_id,
    max(r.transaction_id) AS transaction_id,
    countIf(r.report IN ('don', 'session')) > 0 AS has_don,
    countIf(r.report IN ('doff', 'session')) > 0 AS has_doff,
    count() AS reports
FROM masques.masque_sessions AS r
GROUP BY r.session_id;

-- What is loaded and yet cannot be right, or not yet: findings, not errors. Each goes by itself
-- when the missing report comes.
CREATE OR REPLACE VIEW masques_marts.intake_findings AS
SELECT
    'doff_without_don' AS finding,
    'masque_sessions' AS table_name,
    s.session_id AS id,
    s.donned_at AS at,
    s.identity_id AS identity_id
FROM masques_marts.sessions_current AS s
WHERE NOT s.has_don
UNION ALL
SELECT 'session_without_identity', 'masque_sessions', s.session_id, s.donned_at, s.identity_id
FROM masques_marts.sessions_current AS s
WHERE s.identity_id NOT IN (SELECT i.identity_id FROM masques.identities AS i)
UNION ALL
SELECT 'request_of_unknown_session', 'api_requests', a.request_id, a.timestamp, a.identity_id
FROM masques.api_requests AS a
WHERE isNotNull(a.session_id)
    AND assumeNotNull(a.session_id) NOT IN (SELECT m.session_id FROM masques.masque_sessions AS m)
UNION ALL
SELECT 'paid_without_transaction', 'api_requests', a.request_id, a.timestamp, a.identity_id
FROM masques.api_requests AS a
WHERE a.payment_status = 'paid' AND isNull(a.transaction_id)
UNION ALL
SELECT 'event_of_unknown_identity', 'reputation_events', e.event_id, e.timestamp, e.identity_id
FROM masques.reputation_events AS e
WHERE e.identity_id NOT IN (SELECT i.identity_id FROM masques.identities AS i);

-- Each settlement as it stands: its newest revision, exact before any merge. Sum this view.
CREATE OR REPLACE VIEW masques_marts.settlements_current AS
SELECT
    settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes
FROM masques.settlements
ORDER BY settlement_id, revision DESC
LIMIT 1 BY settlement_id;

-- Money and counts by rail: what came in, what went out, what is on its way.
CREATE OR REPLACE VIEW masques_marts.settlements_by_rail AS
SELECT
    rail,
    network,
    currency,
    direction,
    status,
    count() AS settlements,
    sum(amount) AS amount,
    countIf(from_account_id = toUUID('00000000-0000-0000-0000-000000000000')) AS unattributed,
    countIf(transaction_id IS NULL) AS without_transaction,
    max(timestamp) AS newest
FROM masques_marts.settlements_current
GROUP BY rail, network, currency, direction, status;

-- The scores as people read them: with names, by rank, and with what moved.
CREATE OR REPLACE VIEW masques_marts.reputation_ranking AS
SELECT
    row_number() OVER (ORDER BY s.score_lower DESC, s.identity_id) AS rank,
    s.identity_id AS identity_id,
    i.display_name AS display_name,
    i.identity_type AS identity_type,
    i.status AS status,
    s.overall_score AS overall_score,
    s.score_lower AS score_lower,
    s.confidence AS confidence,
    s.overall_score - s.score_7d_ago AS change_7d,
    s.overall_score - s.score_30d_ago AS change_30d,
    s.total_events AS total_events,
    s.excluded_events AS excluded_events,
    s.computed_at AS computed_at
FROM masques.reputation_scores AS s FINAL
LEFT ANY JOIN
(
    SELECT identity_id, display_name, identity_type, status
    FROM masques.identities FINAL
) AS i ON i.identity_id = s.identity_id;

-- How each event moved the newest scores; filter by identity_id.
CREATE OR REPLACE VIEW masques_marts.reputation_contributions AS
SELECT
    identity_id, category, event_type, timestamp, age_days, event_id, delta, quality, reason,
    grounding, weight, counterparty_id, cluster_id, cap, counted_share, reference_type,
    reference_id, inherited_from, category_evidence, effect
FROM masques_ops.reputation_contributions_at(
    as_of = (SELECT max(computed_at) FROM masques.reputation_scores),
    known_at = (SELECT max(computed_at) FROM masques.reputation_scores));

-- Where to look twice: identities most of whose income comes from one payer cluster, or whose money
-- goes round through one or two others. A flow counts for a ring from a tenth of the payee's income.
CREATE OR REPLACE VIEW masques_marts.reputation_flags AS
WITH
    (SELECT max(computed_at) FROM masques.reputation_scores) AS as_of,
    flows AS
    (
        SELECT cluster_key AS payer, seller_cluster_key AS payee, usd_0 AS usd
        FROM masques_ops.reputation_flows(
            as_of = (SELECT max(computed_at) FROM masques.reputation_scores),
            known_at = (SELECT max(computed_at) FROM masques.reputation_scores))
        WHERE usd_0 > 0
    ),
    weighty AS
    (
        SELECT f.payer AS payer, f.payee AS payee, f.usd AS usd, f.usd / i.income AS share
        FROM flows AS f
        INNER JOIN
        (
            SELECT payee, sum(usd) AS income FROM flows GROUP BY payee
        ) AS i ON i.payee = f.payee
        WHERE share >= 0.1
    ),
    found AS
    (
        SELECT payee AS cluster_key, 'single_payer' AS flag, share, [payer] AS through
        FROM weighty
        WHERE share > 0.5
        UNION ALL
        SELECT a.payee, 'ring_of_2', a.share, [a.payer]
        FROM weighty AS a
        INNER JOIN weighty AS b ON b.payer = a.payee AND b.payee = a.payer
        UNION ALL
        SELECT a.payee, 'ring_of_3', a.share, [c.payer, a.payer]
        FROM weighty AS a
        INNER JOIN weighty AS b ON b.payer = a.payee
        INNER JOIN weighty AS c ON c.payer = b.payee AND c.payee = a.payer
        WHERE b.payee != a.payer
    ),
    parties AS
    (
        SELECT party_id, cityHash64(cluster_id) AS cluster_key
        FROM masques_ops.reputation_parties
        WHERE is_account = 0 AND known_from <= as_of
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    known AS
    (
        SELECT
            s.identity_id AS identity_id,
            if(p.party_id = s.identity_id, p.cluster_key, cityHash64(s.identity_id)) AS cluster_key
        FROM masques.reputation_scores AS s FINAL
        LEFT ANY JOIN parties AS p ON p.party_id = s.identity_id
    )
SELECT
    k.identity_id AS identity_id,
    f.flag AS flag,
    f.share AS income_share,
    arrayMap(x -> toString(x), f.through) AS through_clusters
FROM found AS f
INNER JOIN known AS k ON k.cluster_key = f.cluster_key;
