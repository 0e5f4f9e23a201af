-- Reputation, step 2 of 4: what each event weighs.

-- The events that this run has to look at, each once, with what its reference proves and what it
-- therefore weighs before it ages, as known now; in as many parts as memory asks for. An event that
-- came twice counts once; of copies that disagree the earliest speaks.
--
-- reason  money         the reference is a posted payment, and the identity is a side of it: 1, less
--                       for dust, and only for the part that was not given back
--         plain         a session or request of theirs that moved no money: weight_plain
--         attested      the word of the platform: 1
--         ungrounded    the reference proves nothing: weight_ungrounded
--         self_dealing, refunded, reorged, contradicted: 0
-- The counterparty is the other side of the reference where it names one; else the one reported.
CREATE OR REPLACE VIEW masques_ops.reputation_evidence_current AS
WITH
    assumeNotNull(
        (SELECT m.model FROM masques_ops.reputation_model(known_at = now64(9, 'UTC')) AS m)) AS model,
    toUUID('00000000-0000-0000-0000-000000000000') AS nobody,
    -- By hash: half the memory; an event that only shares the hash takes the longer way unharmed.
    repeated AS
    (
        SELECT cityHash64(event_id) AS event_hash
        FROM masques.reputation_events
        WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
            AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
        GROUP BY event_hash
        HAVING count() > 1
    ),
    events AS
    (
        SELECT
            event_id, timestamp, identity_id, category, event_type, score_delta, confidence,
            reference_type, reference_id, attributes['counterparty_id'] AS counterparty,
            ingested_at
        FROM masques.reputation_events
        WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
            AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
            AND cityHash64(event_id) NOT IN (SELECT event_hash FROM repeated)
        UNION ALL
        SELECT
            event_id, first.1, first.3, first.4, first.5, first.6, first.7, first.8, first.9,
            first.10, first.2
        FROM
        (
            SELECT
                event_id,
                min((timestamp, ingested_at, identity_id, toString(category), toString(event_type),
                    score_delta, confidence, toString(reference_type), reference_id,
                    attributes['counterparty_id'])) AS first
            FROM masques.reputation_events
            WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
                AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                    OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
                AND cityHash64(event_id) IN (SELECT event_hash FROM repeated)
            GROUP BY event_id
        )
    ),
    read AS
    (
        SELECT
            event_id,
            timestamp,
            ingested_at,
            identity_id,
            transform(category, ['task_quality', 'economic', 'identity_hygiene'], [1, 2, 3], 0)
                AS category_code,
            event_type,
            if(isNaN(score_delta), 0.0, greatest(-1.0, least(1.0, score_delta))) AS delta,
            if(isNaN(confidence), 0.0, greatest(0.0, least(1.0, confidence))) AS quality,
            reference_type,
            reference_id,
            sipHash64(toString(reference_type), toUUIDOrZero(reference_id)) AS reference_key,
            toUUIDOrZero(counterparty) AS counterparty_uuid,
            if(counterparty_uuid = nobody AND counterparty != '',
                reinterpretAsUUID(sipHash128(lower(counterparty))), counterparty_uuid) AS reported_id
        FROM events
        WHERE category_code > 0
    ),
    -- In the order of the tables, so that the newest row of each is found without a sort.
    references AS
    (
        SELECT reference_key, known_from, state, payer_id, payee_id, usd, kept_share
        FROM masques_ops.reputation_references
        WHERE reference_key IN
        (
            SELECT sipHash64(toString(e.reference_type), toUUIDOrZero(e.reference_id))
            FROM masques.reputation_events AS e
            WHERE cityHash64(event_id) % {parts:UInt32} = {part:UInt32}
                AND ({everything:UInt8} = 1 AND timestamp > {oldest:DateTime64(9, 'UTC')}
                    OR event_id IN (SELECT event_id FROM masques_ops.reputation_touched_events))
                AND e.reference_type NOT IN ('', 'attestation')
        )
        ORDER BY reference_key DESC, known_from DESC
        LIMIT 1 BY reference_key
    ),
    parties AS
    (
        SELECT party_id, known_from, cluster_id, shared_ids
        FROM masques_ops.reputation_parties
        WHERE is_account = 0
        ORDER BY party_id DESC, known_from DESC
        LIMIT 1 BY party_id
    ),
    referring AS
    (
        SELECT
            e.event_id AS event_id,
            e.timestamp AS timestamp,
            e.ingested_at AS ingested_at,
            e.identity_id AS identity_id,
            e.category_code AS category_code,
            e.event_type AS event_type,
            e.delta AS delta,
            e.quality AS quality,
            e.reference_type AS reference_type,
            e.reference_id AS reference_id,
            e.reference_key AS reference_key,
            e.reported_id AS reported_id,
            r.known_from AS proved_from,
            r.state AS state,
            r.payer_id AS payer_id,
            r.payee_id AS payee_id,
            r.usd AS usd,
            r.kept_share AS kept_share,
            state != '' AND e.identity_id != nobody
                AND (e.identity_id = r.payer_id OR e.identity_id = r.payee_id) AS is_side,
            multiIf(
                is_side AND e.identity_id = r.payer_id AND r.payee_id != nobody, r.payee_id,
                is_side AND e.identity_id = r.payee_id AND r.payer_id != nobody, r.payer_id,
                e.reported_id) AS counterparty_id
        FROM read AS e
        LEFT ANY JOIN references AS r ON r.reference_key = e.reference_key
    ),
    acquainted AS
    (
        SELECT
            e.event_id AS event_id,
            e.timestamp AS timestamp,
            e.identity_id AS identity_id,
            e.category_code AS category_code,
            e.event_type AS event_type,
            e.delta AS delta,
            e.quality AS quality,
            e.reference_type AS reference_type,
            e.reference_id AS reference_id,
            e.reference_key AS reference_key,
            e.reported_id AS reported_id,
            e.state AS state,
            e.payer_id AS payer_id,
            e.usd AS usd,
            e.kept_share AS kept_share,
            e.is_side AS is_side,
            e.counterparty_id AS counterparty_id,
            greatest(toDateTime64(e.ingested_at, 6, 'UTC'), e.proved_from, subject.known_from,
                counterparty.known_from) AS knowable_from,
            has(model.attestors, e.reported_id) AND NOT has(model.attestors, e.identity_id)
                AS is_attested,
            multiIf(
                is_attested, model.attestors[1],
                counterparty.party_id = e.counterparty_id, counterparty.cluster_id,
                e.counterparty_id) AS cluster_id,
            e.reported_id = e.identity_id OR e.counterparty_id = e.identity_id
                OR (NOT is_attested AND (
                    cluster_id = if(
                        subject.party_id = e.identity_id, subject.cluster_id, e.identity_id)
                    OR hasAny(subject.shared_ids, counterparty.shared_ids))) AS is_self_dealing
        FROM referring AS e
        LEFT ANY JOIN parties AS subject ON subject.party_id = e.identity_id
        LEFT ANY JOIN parties AS counterparty ON counterparty.party_id = e.counterparty_id
    )
SELECT
    identity_id,
    category_code,
    cityHash64(cluster_id) AS cluster_key,
    timestamp,
    -- The platform may say that a payment failed; anybody else's word on it is void with it.
    multiIf(
        is_self_dealing, 5,
        is_attested AND delta < 0 AND reference_type = 'settlement'
            AND state IN ('money', 'settled'), 8,
        is_attested AND delta < 0, 3,
        state = 'reorged', 7,
        state = 'refunded', 6,
        is_attested AND state != 'settling', 3,
        state = 'money' AND is_side, 1,
        state = 'plain' AND (is_side OR (reference_type = 'request' AND reported_id = payer_id)), 2,
        4) AS reason_code,
    is_attested,
    delta,
    quality,
    if(reason_code = 1, usd, 0.0) AS usd,
    if(reason_code = 1, kept_share, 1.0) AS kept_share,
    event_id,
    event_type,
    reference_type,
    reference_id,
    reference_key,
    counterparty_id,
    cluster_id,
    nobody AS inherited_from,
    knowable_from,
    sipHash128(identity_id, category_code, cluster_id, timestamp, reason_code, is_attested, delta,
        quality, usd, kept_share, event_id, toString(event_type), toString(reference_type),
        reference_id, counterparty_id, inherited_from) AS content
FROM acquainted
COMMENT 'What each event that the run looks at weighs before it ages, as known now. Parameters: oldest - events before this are left out; everything - 1 for all events, 0 for the touched ones; parts - in how many parts the events are read; part - which part, from 0. Columns: identity_id .. inherited_from - as in masques_ops.reputation_evidence_log; knowable_from - the latest time at which a fact behind the row was written; content - hash by which a run compares rows.';

-- The log, with the content by which a run compares it. Rows that were taken back are still in it.
CREATE OR REPLACE VIEW masques_ops.reputation_evidence_recorded
(
    identity_id UUID COMMENT 'whose score the evidence counts for',
    category_code UInt8 COMMENT '1 task_quality, 2 economic, 3 identity_hygiene',
    cluster_key UInt64 COMMENT 'cityHash64(cluster_id)',
    timestamp DateTime64(9, 'UTC') COMMENT 'when the event happened',
    sign Int8 COMMENT '1, or -1 for a row that cancels an earlier one',
    known_from DateTime64(6, 'UTC') COMMENT 'when the row was written; scores of earlier moments do not use it',
    reason_code UInt8
        COMMENT '1 money, 2 plain, 3 attested, 4 ungrounded, 5 self_dealing, 6 refunded, 7 reorged, 8 contradicted',
    is_attested UInt8 COMMENT 'the word of the platform',
    delta Float64 COMMENT 'score_delta, clamped',
    quality Float64 COMMENT 'confidence, clamped',
    usd Float64 COMMENT 'what was paid and not given back; -1 when there is no rate',
    kept_share Float64 COMMENT 'the share of the payment that was not given back',
    event_id UUID COMMENT 'the reputation event',
    event_type LowCardinality(String) COMMENT 'what happened, for instance task_completed or hold_expired',
    reference_type LowCardinality(String) COMMENT 'session, transaction, settlement, request, attestation or empty',
    reference_id String COMMENT 'id of what the event is about, by reference_type; empty for nothing',
    reference_key UInt64 COMMENT 'sipHash64(reference_type, reference_id as UUID)',
    counterparty_id UUID COMMENT 'the other side of the reference, else the one reported',
    cluster_id UUID COMMENT 'the payer cluster of the counterparty',
    inherited_from UUID COMMENT 'whom the event is about, when that is not identity_id; else zero',
    content FixedString(16) COMMENT 'hash of the row without sign and known_from'
)
AS
SELECT
    identity_id, category_code, cluster_key, timestamp, sign, known_from, reason_code, is_attested,
    delta, quality, usd, kept_share, event_id, event_type, reference_type, reference_id,
    reference_key, counterparty_id, cluster_id, inherited_from,
    sipHash128(identity_id, category_code, cluster_id, timestamp, reason_code, is_attested, delta,
        quality, usd, kept_share, event_id, toString(event_type), toString(reference_type),
        reference_id, counterparty_id, inherited_from) AS content
FROM masques_ops.reputation_evidence_log
COMMENT 'The evidence log with the hash by which a run compares rows. Cancelled rows are still in it: sum with sign.';
