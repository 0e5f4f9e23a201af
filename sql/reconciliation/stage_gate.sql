-- Folds what requests and sessions say to one row per payment.
INSERT INTO masques_ops.payments_gate
    (item_id, requests, sessions, claims, served, undecided, doffed, stated, unstated, charged, currency,
    currency_max, identity_id, identity_id_max, request_id, session_id, first_at, last_at)
WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    toDateTime64(0, 9, 'UTC') AS never,
    hours AS (SELECT hour FROM masques_ops.payments_touched_hours),
    touched AS (SELECT item_id FROM masques_ops.payments_touched WHERE is_compared = 1)
SELECT
    w.item_id AS item_id,
    countIf(NOT is_session) AS requests, countIf(is_session) AS sessions, countIf(is_claim) AS claims,
    countIf(NOT is_session AND is_served) AS served, countIf(NOT is_session AND is_undecided) AS undecided,
    countIf(is_session AND is_served) AS doffed,
    -- A session that says nothing of a charge adds none to what its requests say.
    countIf(isNotNull(w.charged)) AS stated, countIf(isNull(w.charged) AND NOT is_session) AS unstated,
    sum(ifNull(w.charged, toDecimal256(0, 18))) AS charged,
    minIf(w.currency, isNotNull(w.charged)) AS currency,
    maxIf(w.currency, isNotNull(w.charged)) AS currency_max,
    minIf(w.identity_id, w.identity_id != none) AS identity_id, max(w.identity_id) AS identity_id_max,
    max(w.request_id) AS request_id, max(w.session_id) AS session_id,
    min(w.first_at) AS first_at, max(w.last_at) AS last_at
FROM
(
    SELECT
        assumeNotNull(ifNull(q.transaction_id, q.request_id)) AS item_id, 0 AS is_session,
        q.request_id AS request_id, none AS session_id, q.timestamp AS first_at, q.timestamp AS last_at,
        q.identity_id AS identity_id, q.charged AS charged, toString(q.charged_currency) AS currency,
        q.payment_status IN ('paid', 'unknown', 'settlement_pending') AS is_claim,
        q.payment_status IN ('unknown', 'settlement_pending') AS is_undecided,
        q.status_code < 400 AND NOT is_undecided AS is_served
    FROM masques.api_requests AS q
    -- First, as most rows are of other parts.
    PREWHERE toUInt128(assumeNotNull(ifNull(q.transaction_id, q.request_id))) BETWEEN {first_id:UInt128} AND {last_id:UInt128}
    WHERE ({is_full:UInt8} OR toStartOfHour(q.timestamp) IN hours)
        AND (q.transaction_id IS NOT NULL OR q.payment_status IN ('paid', 'unknown', 'settlement_pending'))
        AND ({is_full:UInt8} OR item_id IN touched)
    UNION ALL
    SELECT
        s.hold, 1, none, s.session, s.donned, greatest(s.donned, s.doffed), s.wearer, s.charge,
        s.charge_currency, 1, s.doffed = never, s.doffed > never
    FROM
    (
        SELECT
            m.session_id AS session, max(ifNull(m.transaction_id, none)) AS hold, min(m.donned_at) AS donned,
            max(ifNull(m.doffed_at, never)) AS doffed, max(m.identity_id) AS wearer,
            max(m.charged) AS charge, max(toString(m.charged_currency)) AS charge_currency
        FROM masques.masque_sessions AS m
        WHERE ({is_full:UInt8} OR toStartOfHour(m.donned_at) IN hours) AND m.session_id IN
        (
            SELECT session_id FROM masques.masque_sessions
            WHERE ({is_full:UInt8} OR toStartOfHour(donned_at) IN hours) AND transaction_id IS NOT NULL
                AND toUInt128(assumeNotNull(transaction_id)) BETWEEN {first_id:UInt128} AND {last_id:UInt128}
                AND ({is_full:UInt8} OR transaction_id IN touched)
        )
        GROUP BY session
    ) AS s
    WHERE toUInt128(s.hold) BETWEEN {first_id:UInt128} AND {last_id:UInt128}
) AS w
-- Sent twice, it inserts once: the answer to the first may have been lost.
WHERE (SELECT count() FROM masques_ops.payments_gate) = 0
GROUP BY item_id
SETTINGS use_skip_indexes = 0
