-- Says what should be said of the touched items.
--
-- An item has two legs. At the gate requests and its session are compared with the ledger, on the rail
-- the ledger with the settlements. Which leg an item needs follows from the chart: what its transfer
-- code needs, and whether exactly one of its accounts is a rail side. The order of each multiIf is the
-- order of the rules: is it there, in which state, in which currency, whose, and how much.
--
-- Where a side is missing the joins put zeros: the zero UUID and time zero are "not there".
INSERT INTO masques_ops.payments_said
    (item_id, content, sign, known_from,
    at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason, currency,
    rail_currency, posted, held, charged, refunded, settled, amount_basis, payer, payee, requests,
    request_id, session_id, settlements, settlement_id, rail_name, rail_network, gate_due_at,
    gate_waits_for, rail_due_at, rail_waits_for, first_at, last_at)
WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    toDateTime64(0, 9, 'UTC') AS never,
    toDecimal256(0, 18) AS zero,
    {kept_from:DateTime64(6, 'UTC')} AS kept_from,
    (
        SELECT (read_to, chart_version) FROM masques_ops.reconciliation_runs FINAL
        WHERE began_at = {began_at:DateTime64(6, 'UTC')}
    ) AS run,
    CAST(run.1, 'Map(String, DateTime64(9, ''UTC''))') AS read_to,
    chart AS
    (
        SELECT kind, code, any(needs) AS needs, any(within_s) AS within_s, any(is_rail_side) AS is_rail_side,
            any(rail_assets) AS rail_assets, any(hold_days_max) AS hold_days_max
        FROM masques_ops.chart_entries
        WHERE version = (
            SELECT chart_version FROM masques_ops.reconciliation_runs FINAL
            WHERE began_at = {began_at:DateTime64(6, 'UTC')})
        GROUP BY kind, code
    ),
    -- How long a request or a settlement may be there before its transfer is: as the other way round.
    (SELECT ifNull(minOrNull(within_s), 86400) FROM chart WHERE needs = 'request') AS request_within_s,
    (SELECT ifNull(minOrNull(within_s), 86400) FROM chart WHERE needs = 'settlement') AS settlement_within_s,
    rail_accounts AS
    (
        SELECT account_id FROM masques.accounts
        WHERE code IN (SELECT code FROM chart WHERE kind = 'account_code' AND is_rail_side = 1)
    ),
    compared AS (SELECT DISTINCT item_id FROM masques_ops.payments_touched WHERE is_compared = 1),
    -- What is read beside the compared, their refunds among it (touch_siblings.sql): few, while a set of the
    -- compared takes as long as a join.
    beside AS (SELECT item_id FROM masques_ops.payments_touched WHERE is_compared = 0),
    refunds AS
    (
        SELECT p.refund_of AS item_id, sum(b.posted) AS b_refunded, any(b.currency) AS b_cur,
            min(b.at) AS b_first, max(b.done_at) AS b_last
        FROM (SELECT DISTINCT transaction_id, refund_of FROM masques_ops.payment_links
            WHERE transaction_id IN beside) AS p
        INNER JOIN
        (
            SELECT item_id, posted, currency, at, done_at FROM masques_ops.payments_booked
            WHERE item_id IN beside AND state = 'posted'
        ) AS b ON b.item_id = p.transaction_id
        GROUP BY item_id
    ),
    -- What has lost its requests to retention keeps what was said of the gate.
    maybe_old AS
    (
        SELECT item_id FROM compared
        WHERE (SELECT count() FROM masques_ops.payments_log WHERE at < kept_from) > 0
    ),
    kept AS
    (
        SELECT item_id, any(p.gate) AS k_gate, any(p.gate_risk) AS k_risk, any(p.charged) AS k_charged,
            any(p.requests) AS k_requests, any(p.request_id) AS k_request, any(p.session_id) AS k_session,
            any(p.amount_basis) AS k_basis, any(p.first_at) AS k_first, any(p.last_at) AS k_last,
            any(p.gate_due_at) AS k_due_at, any(p.gate_waits_for) AS k_waits_for
        FROM masques_ops.payments_log AS p
        WHERE p.at < kept_from
            AND p.item_order IN (SELECT toUInt64(bitShiftRight(toUInt128(item_id), 64)) FROM maybe_old)
            AND p.item_id IN maybe_old
        GROUP BY item_id, content HAVING sum(p.sign) > 0
    ),
    facts AS
    (
        SELECT
            c.item_id AS item_id,
            b.at AS l_at, b.done_at AS l_done, toString(b.transaction_type) AS l_type, b.payer AS l_payer,
            b.payee AS l_payee, toString(b.currency) AS l_cur, b.posted AS l_posted, b.held AS l_held,
            toString(b.state) AS l_state, b.payer IN rail_accounts AS l_in, b.payee IN rail_accounts AS l_out,
            if(b.timeout_s = 0, greatest(d.hold_days_max, 1) * 86400, b.timeout_s) + 60 AS l_hold_s,
            t.needs AS l_needs, t.within_s AS l_within_s, d.rail_assets AS l_assets,
            a.identity_id AS l_owner,
            f.b_refunded AS b_refunded, f.b_cur AS b_cur, f.b_first AS b_first, f.b_last AS b_last,
            g.requests AS g_n, g.sessions AS s_n, g.claims AS g_claims, g.served AS g_served,
            g.undecided AS g_open, g.doffed AS s_done, g.unstated AS g_unstated, g.stated AS g_stated,
            g.charged AS g_charged, toString(g.currency) AS g_cur, toString(g.currency_max) AS g_cur_max,
            g.identity_id AS g_who, g.identity_id_max AS g_who_max, g.last_at AS g_at,
            g.first_at AS g_first, g.request_id AS g_request, g.session_id AS g_session,
            r.confirmed AS r_confirmed, r.waiting AS r_waiting, r.open AS r_open, r.failed AS r_failed,
            r.settled AS r_settled, r.waited_for AS r_waiting_for, r.assets AS r_assets,
            toString(r.asset) AS r_cur, r.directions AS r_directions, r.payers AS r_from,
            r.deadline_s AS r_deadline_s, toString(r.reason) AS r_reason, toString(r.rail) AS r_rail,
            toString(r.network) AS r_network,
            r.at AS r_at, r.first_at AS r_first, r.last_at AS r_last, r.settlements AS r_n,
            r.settlement_id AS r_id
        FROM compared AS c
        LEFT JOIN masques_ops.payments_booked AS b ON b.item_id = c.item_id
        LEFT JOIN masques_ops.payments_gate AS g ON g.item_id = c.item_id
        LEFT JOIN
        (
            -- A join copies an array of texts in half the time of one with a dictionary.
            SELECT * REPLACE (
                CAST(assets, 'Array(String)') AS assets, CAST(directions, 'Array(String)') AS directions)
            FROM masques_ops.payments_rail
        ) AS r ON r.item_id = c.item_id
        LEFT JOIN refunds AS f ON f.item_id = c.item_id
        LEFT JOIN (SELECT code, needs, within_s FROM chart WHERE kind = 'transfer_code') AS t
            ON t.code = b.code
        LEFT JOIN (SELECT code, rail_assets, hold_days_max FROM chart WHERE kind = 'ledger') AS d
            ON d.code = b.ledger
        LEFT JOIN (SELECT account_id, any(identity_id) AS identity_id FROM masques.accounts
            GROUP BY account_id) AS a ON a.account_id = b.payer
    ),
    -- Each step names what the next one asks: the engine would write an alias out wherever it stands.
    timed AS
    (
        SELECT
            j.item_id AS item_id,
            j.* EXCEPT (item_id),
            k.* EXCEPT (item_id),
            l_state != '' AND l_needs IN ('request', 'session') AS need_gate,
            l_state != '' AND NOT (l_in AND l_out) AND (l_in OR l_out OR l_needs = 'settlement') AS need_rail,
            if(b_cur = l_cur, b_refunded, zero) AS back,
            if(l_needs = 'session' OR (g_n = 0 AND s_n > 0), 'sessions', 'requests') AS gate_side,
            if(r_n = 0, 'rails', concat('rail:', r_rail)) AS rail_side,
            l_done + toIntervalSecond(l_within_s) AS told_at,
            g_at + toIntervalSecond(request_within_s) AS request_due,
            l_at + toIntervalSecond(l_hold_s) AS hold_due,
            greatest(if(l_state = '', r_at + toIntervalSecond(settlement_within_s), told_at),
                toDateTime64(r_deadline_s, 9, 'UTC')) AS rail_due,
            r_at + toIntervalSecond(settlement_within_s) AS booking_due,
            if(l_at != never, l_at, if(g_first != never, g_first, r_at)) AS item_at
        FROM facts AS j
        LEFT JOIN kept AS k ON k.item_id = j.item_id
    ),
    flagged AS
    (
        SELECT
            *,
            item_at < kept_from AS is_old,
            is_old AND k_last > toDateTime(0, 'UTC') AS is_kept,
            l_posted > zero AND back >= l_posted AS is_refunded,
            g_stated > 0 AND g_unstated = 0 AS is_stated,
            is_stated AND g_charged IN (l_posted, l_posted - back) AS is_charged,
            read_to['ledger'] >= request_due AS is_request_due,
            read_to['ledger'] >= hold_due AS is_hold_due,
            read_to[gate_side] >= told_at AS is_told_due,
            read_to['requests'] >= request_due AS is_outcome_due,
            read_to[rail_side] >= rail_due AS is_rail_due,
            read_to['bookings'] >= booking_due AS is_booking_due,
            l_owner != none AND g_who != none AND NOT l_in AND (g_who != l_owner OR g_who_max != l_owner)
                AS is_others_request,
            (l_in AND has(r_directions, 'out')) OR (l_out AND has(r_directions, 'in'))
                OR (l_needs = 'settlement' AND l_in AND arrayExists(x -> x != l_payee, r_from))
                AS is_others_settlement
        FROM timed
    ),
    judged AS
    (
        SELECT
            *,
            -- The verdict; after 'expected' what it waits for.
            multiIf(
                l_state = '' AND (g_claims = 0), '',
                l_state = '' AND NOT is_request_due, 'expected ledger',
                l_state = '' AND g_served = 0 AND g_open > 0 AND s_n = 0, 'outcome_unknown',
                l_state = '', 'unbooked_request',
                l_state = 'open' AND is_hold_due, 'stale_hold',
                l_state = 'open', 'expected hold',
                l_state IN ('expired', 'voided') AND is_stated AND g_charged = zero, 'released',
                l_state = 'expired' AND (g_served > 0 OR s_done > 0), 'served_not_paid',
                l_state = 'voided' AND g_served > 0, 'served_not_paid',
                l_state IN ('expired', 'voided'), 'released',
                g_n + s_n = 0 AND NOT need_gate, '',
                g_n + s_n = 0 AND is_refunded, 'refunded',
                g_n + s_n = 0 AND is_told_due, 'unexplained_charge',
                g_n + s_n = 0, concat('expected ', gate_side),
                is_refunded AND (g_served + s_done = 0 OR (s_n > s_done AND NOT is_charged)), 'refunded',
                g_served + s_done = 0 AND g_open > 0 AND is_outcome_due, 'outcome_unknown',
                g_served + s_done = 0 AND g_open > 0, 'expected outcome',
                s_n > s_done AND NOT (g_served > 0 AND is_charged),
                    if(is_told_due, 'unexplained_charge', concat('expected ', gate_side)),
                g_served + s_done = 0, 'paid_not_served',
                g_stated > 0 AND (g_cur != l_cur OR g_cur_max != l_cur), 'currency_mismatch',
                is_others_request, 'party_mismatch',
                g_charged > l_posted OR (is_stated AND NOT is_charged AND is_told_due),
                    if(is_refunded AND g_charged <= l_posted, 'refunded', 'amount_mismatch'),
                is_stated AND NOT is_charged, concat('expected ', gate_side),
                if(is_refunded, 'refunded', 'matched')) AS gate_said,
            multiIf(
                l_state = '' AND r_confirmed > 0,
                    if(is_booking_due, 'unbooked_settlement', 'expected bookings'),
                l_state = '' AND r_open > 0,
                    if(is_rail_due, 'outcome_unknown', concat('expected ', rail_side)),
                l_state = '', '',
                NOT need_rail AND r_confirmed > 0, 'unbooked_settlement',
                NOT need_rail, '',
                l_state = 'open' AND NOT is_hold_due, 'expected hold',
                l_state != 'posted' AND r_confirmed > 0, 'unbooked_settlement',
                l_state != 'posted', 'released',
                r_confirmed = 0 AND is_refunded, 'refunded',
                r_confirmed = 0 AND r_waiting > 0,
                    if(is_rail_due, 'outcome_unknown', concat('expected ', rail_side)),
                r_confirmed = 0 AND r_failed > 0, 'settlement_failed',
                r_confirmed = 0, if(is_rail_due, 'unsettled_transfer', concat('expected ', rail_side)),
                NOT hasAll(l_assets, r_assets), 'currency_mismatch',
                is_others_settlement, 'party_mismatch',
                r_settled > l_posted AND r_confirmed > 1, 'paid_twice',
                r_settled < l_posted AND NOT is_rail_due, concat('expected ', rail_side),
                r_settled != l_posted, 'amount_mismatch',
                'matched') AS rail_said
        FROM flagged
    ),
    worded AS
    (
        SELECT
            *,
            multiIf(is_kept, toString(k_gate), is_old AND g_n + s_n = 0, '',
                startsWith(gate_said, 'expected'), 'expected', gate_said) AS gate,
            if(startsWith(rail_said, 'expected'), 'expected', rail_said) AS rail,
            substring(gate_said, 10) AS gate_waits,
            substring(rail_said, 10) AS rail_waits
        FROM judged
    ),
    said AS
    (
        SELECT
            item_id,
            item_at AS at,
            l_type AS transaction_type,
            multiIf(l_state = '', '', l_in AND l_out, 'internal', l_in, 'rail_in', l_out, 'rail_out', 'balance')
                AS funding,
            l_state AS state,
            gate,
            rail,
            if(is_kept, k_risk, multiIf(
                gate IN ('unexplained_charge', 'paid_not_served'), l_posted - back,
                gate = 'served_not_paid', if(g_charged > zero, g_charged, l_held),
                gate = 'unbooked_request', if(g_served + s_done > 0, g_charged, zero),
                gate = 'stale_hold', l_held,
                gate = 'outcome_unknown', if(l_state = '', g_charged, l_posted - back),
                gate IN ('currency_mismatch', 'party_mismatch'), l_posted,
                gate = 'amount_mismatch', abs(l_posted - back - g_charged),
                zero)) AS gate_risk,
            multiIf(
                rail IN ('settlement_failed', 'unsettled_transfer'), l_posted - back,
                rail = 'unbooked_settlement', r_settled,
                rail = 'paid_twice', r_settled - l_posted,
                rail = 'outcome_unknown', if(l_state = '', r_waiting_for, l_posted - back),
                rail IN ('currency_mismatch', 'party_mismatch'), l_posted,
                rail = 'amount_mismatch', abs(r_settled - l_posted),
                zero) AS rail_risk,
            if(r_failed + r_waiting > 0, r_reason, '') AS reason,
            if(l_state = '', g_cur, l_cur) AS currency,
            r_cur AS rail_currency,
            l_posted AS posted,
            l_held AS held,
            if(is_kept, k_charged, g_charged) AS charged,
            back AS refunded,
            r_settled AS settled,
            multiIf(is_kept, k_basis, g_stated = 0, 'none',
                g_unstated > 0, 'partly', 'stated') AS amount_basis,
            l_payer AS payer,
            l_payee AS payee,
            toUInt32(if(is_kept, k_requests, g_n)) AS requests,
            if(is_kept, k_request, g_request) AS request_id,
            if(is_kept, k_session, g_session) AS session_id,
            toUInt32(r_n) AS settlements,
            r_id AS settlement_id,
            r_rail AS rail_name,
            r_network AS rail_network,
            if(is_kept, k_due_at, multiIf(
                gate != 'expected', never,
                gate_waits = 'ledger', request_due,
                gate_waits = 'hold', hold_due,
                gate_waits = 'outcome', request_due,
                told_at)) AS gate_due_at,
            if(is_kept, toString(k_waits_for), multiIf(
                gate != 'expected', '',
                gate_waits = 'hold', 'ledger',
                gate_waits = 'outcome', 'requests',
                gate_waits)) AS gate_waits_for,
            multiIf(
                rail != 'expected', never,
                rail_waits = 'bookings', booking_due,
                rail_waits = 'hold', hold_due,
                rail_due) AS rail_due_at,
            multiIf(rail != 'expected', '', rail_waits = 'hold', 'ledger', rail_waits) AS rail_waits_for,
            toDateTime(arrayMin(arrayFilter(t -> t > 0, [
                toUnixTimestamp(l_at), toUnixTimestamp(b_first), toUnixTimestamp(g_first),
                toUnixTimestamp(r_first), toUnixTimestamp(k_first)])), 'UTC') AS first_at,
            toDateTime(arrayMax([
                toUnixTimestamp(l_done), toUnixTimestamp(b_last), toUnixTimestamp(g_at),
                toUnixTimestamp(r_last), toUnixTimestamp(k_last)]), 'UTC') AS last_at
        FROM worded
        WHERE gate != '' OR rail != ''
    )
SELECT
    item_id,
    -- Two fast hashes: sipHash128 of so many columns takes longer than all the rest.
    reinterpretAsFixedString(bitOr(bitShiftLeft(toUInt128(cityHash64(item_id,
        at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason,
        currency, rail_currency, posted, held, charged, refunded, settled, amount_basis, payer,
        payee, requests, request_id, session_id, settlements, settlement_id, rail_name,
        gate_due_at, gate_waits_for, rail_due_at, rail_waits_for, first_at, last_at)), 64), toUInt128(xxh3(item_id,
        at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason,
        currency, rail_currency, posted, held, charged, refunded, settled, amount_basis, payer,
        payee, requests, request_id, session_id, settlements, settlement_id, rail_name,
        gate_due_at, gate_waits_for, rail_due_at, rail_waits_for, first_at, last_at)))) AS content,
    1, {began_at:DateTime64(6, 'UTC')},
    at, transaction_type, funding, state, gate, rail, gate_risk, rail_risk, reason, currency,
    rail_currency, posted, held, charged, refunded, settled, amount_basis, payer, payee,
    requests, request_id, session_id, settlements, settlement_id, rail_name, rail_network,
    gate_due_at, gate_waits_for, rail_due_at, rail_waits_for, first_at, last_at
FROM said
-- Sent twice, it inserts once.
WHERE (SELECT count() FROM masques_ops.payments_said) = 0
SETTINGS use_skip_indexes = 0, max_block_size = 32768, max_joined_block_size_rows = 32768,
    short_circuit_function_evaluation = 'disable',
    -- It looks at each pair of the conditions, and finds nothing: a third of the time before the first row.
    optimize_and_compare_chain = 0
