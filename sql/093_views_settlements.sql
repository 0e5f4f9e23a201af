-- Settlements, as the reputation model reads them, and the claims of the journal about them.

-- The latest revision of each settlement, in the columns that reputation needs.
CREATE OR REPLACE VIEW masques_ops.settlements_newest
(
    settlement_id UUID COMMENT 'uuid5 of the payment''s own identity on its rail',
    timestamp DateTime64(9, 'UTC') COMMENT 'time of the fact: block, settle, or intent',
    status String COMMENT 'pending, confirmed, failed, unknown, superseded, off_chain, claimable or not_followed: see docs/rails.md',
    direction String COMMENT 'in or out',
    payer String COMMENT 'address that pays, EVM addresses in lower case; empty when unknown',
    transaction_id UUID COMMENT 'the first ledger transfer of masques_ops.settlement_links; the zero UUID for none',
    failure_reason String COMMENT 'why the payment failed, is unknown or is not followed; empty otherwise'
)
AS
SELECT
    settlement_id,
    newest.1 AS timestamp,
    newest.2 AS status,
    newest.3 AS direction,
    newest.4 AS payer,
    newest.5 AS transaction_id,
    newest.6 AS failure_reason
FROM
(
    SELECT
        settlement_id,
        argMax(
            (s.timestamp, toString(s.status), toString(s.direction), s.payer,
                ifNull(s.transaction_id, toUUID('00000000-0000-0000-0000-000000000000')),
                s.failure_reason),
            (s.revision, s.recorded_at)) AS newest
    FROM masques.settlements AS s
    GROUP BY settlement_id
)
COMMENT 'The latest revision of each settlement, in the columns that reputation needs.';

-- Each claim of the journal about a settlement, and whether the chain proves it: the answer's
-- transaction is the one that the settlement has, and it is the same money. What needs no transaction
-- is proved by its answer, and so is a voucher, which the claim of its channel names as its transaction
-- later. A claim about an announcement that another settlement superseded is a claim
-- about that one.
CREATE OR REPLACE VIEW masques_ops.settlement_claims_now
(
    settlement_id UUID COMMENT 'the settlement that the claim is about now',
    rail String COMMENT 'lightning, solana or base; base means any EVM network: see network',
    network String COMMENT 'CAIP-2 id of the chain',
    status String COMMENT 'status of the settlement',
    transaction_ids Array(UUID) COMMENT 'the ledger transfers that are claimed, sorted',
    claimed_hash String COMMENT 'transaction that the answer names',
    tx_hash String COMMENT 'transaction of the settlement',
    announced_id UUID COMMENT 'the settlement that the line announced',
    claimed_at DateTime64(9, 'UTC') COMMENT 'time of the line',
    is_proved UInt8 COMMENT '1 when they are the same, and the chain has it or none is needed'
)
AS
WITH
    claims AS
    (
        SELECT settlement_id, payers_id, tx_hash, transaction_ids, asset, to_address, amount, is_exact, claimed_at
        FROM masques_ops.settlement_claims FINAL
    ),
    -- Of a transaction with several payers each claim is about what its own payer paid.
    parts AS
    (
        SELECT DISTINCT settlement_id AS part_id
        FROM masques.settlements
        WHERE settlement_id IN
            (SELECT payers_id FROM claims WHERE payers_id != toUUID('00000000-0000-0000-0000-000000000000'))
    ),
    announced AS
    (
        SELECT
            settlement_id AS announced_id,
            toUUIDOrZero(argMax(
                if(status = 'superseded', attributes['superseded_by'], ''), (revision, recorded_at)))
                AS other_id
        FROM masques.settlements
        WHERE settlement_id IN (SELECT settlement_id FROM claims)
        GROUP BY settlement_id
    ),
    targets AS
    (
        SELECT
            settlement_id AS target_id,
            argMax(
                (toString(rail), toString(status), tx_hash, toString(finality), asset, to_address, amount,
                    toString(direction), toString(network),
                    mapContains(attributes, 'charged_total') OR attributes['batch_hash'] != ''),
                (revision, recorded_at)) AS newest
        FROM masques.settlements
        WHERE settlement_id IN
            (SELECT arrayJoin([announced_id, other_id]) FROM announced UNION ALL SELECT part_id FROM parts)
        GROUP BY settlement_id
    )
SELECT
    t.target_id AS settlement_id,
    t.newest.1 AS rail,
    t.newest.9 AS network,
    t.newest.2 AS status,
    c.transaction_ids AS transaction_ids,
    c.tx_hash AS claimed_hash,
    t.newest.3 AS tx_hash,
    a.announced_id AS announced_id,
    c.claimed_at AS claimed_at,
    -- A voucher is accepted without a transaction, and its channel is claimed by one later; so is a
    -- payment by Circle Gateway, and its batch.
    (claimed_hash = t.newest.3 OR (t.newest.10 AND claimed_hash = ''))
        AND c.asset = t.newest.5
        AND (c.to_address = '' OR c.to_address = t.newest.6
            -- LND may not know the node that it paid; the payment hash is of one invoice.
            OR (t.newest.1 = 'lightning' AND t.newest.6 = ''))
        AND (c.amount = t.newest.7
            -- What we paid out ourselves is exactly known.
            OR (t.newest.8 = 'in' AND NOT c.is_exact AND c.amount < t.newest.7)
            OR (t.newest.8 = 'in' AND t.target_id != a.announced_id AND t.target_id != c.payers_id
                AND c.amount > t.newest.7))
        AND ((t.newest.4 != '' AND t.newest.2 != 'superseded' AND (claimed_hash != '' OR t.newest.10))
            OR t.newest.2 IN ('off_chain', 'claimable', 'not_followed'))
        AS is_proved
FROM claims AS c
INNER JOIN announced AS a ON a.announced_id = c.settlement_id
LEFT JOIN parts AS p ON p.part_id = c.payers_id
INNER JOIN targets AS t
    ON t.target_id = multiIf(
        p.part_id != toUUID('00000000-0000-0000-0000-000000000000'), p.part_id,
        a.other_id = toUUID('00000000-0000-0000-0000-000000000000'), a.announced_id,
        a.other_id)
COMMENT 'Claims of the journal about settlements, and whether the chain proves them.';

-- What a person decided about claims, as it holds now.
CREATE OR REPLACE VIEW masques_ops.claim_decisions_now
(
    settlement_id UUID COMMENT 'the settlement',
    decision String COMMENT 'linked or none',
    transaction_ids Array(UUID) COMMENT 'the ledger transfers of the claim that was chosen, sorted',
    claims Array(Array(UUID)) COMMENT 'the claims that were proved when it was decided',
    decided_by String COMMENT 'who decided',
    reason String COMMENT 'why',
    decided_at DateTime64(6, 'UTC') COMMENT 'when'
)
AS
SELECT
    settlement_id,
    newest.1 AS decision,
    newest.2 AS transaction_ids,
    newest.3 AS claims,
    newest.4 AS decided_by,
    newest.5 AS reason,
    newest.6 AS decided_at
FROM
(
    SELECT
        d.settlement_id AS settlement_id,
        argMax(
            (toString(d.decision), d.transaction_ids, d.claims, d.decided_by, d.reason, d.decided_at),
            d.decided_at) AS newest
    FROM masques_ops.claim_decisions AS d
    GROUP BY d.settlement_id
)
WHERE newest.1 != 'withdrawn'
COMMENT 'The decisions about contradicting claims that hold now, one per settlement.';

-- The links that follow: of settlements with one proved claim, or with the proved claim that a person
-- chose. Two different ones without a decision prove neither, and a later one changes no decision.
CREATE OR REPLACE VIEW masques_ops.settlement_links_now
(
    settlement_id UUID COMMENT 'a settlement that a claim is about',
    transaction_ids Array(UUID) COMMENT 'the ledger transfers that it settles; empty when no claim proves one'
)
AS
SELECT
    c.settlement_id AS settlement_id,
    multiIf(
        any(d.decision) = 'linked' AND has(groupUniqArrayIf(c.transaction_ids, c.is_proved), any(d.transaction_ids)),
            any(d.transaction_ids),
        any(d.decision) = '' AND uniqExactIf(c.transaction_ids, c.is_proved) = 1,
            anyIf(c.transaction_ids, c.is_proved),
        []) AS transaction_ids
FROM masques_ops.settlement_claims_now AS c
LEFT JOIN masques_ops.claim_decisions_now AS d ON d.settlement_id = c.settlement_id
GROUP BY c.settlement_id
COMMENT 'The links between settlements and ledger transfers that the claims prove now.';

-- A network or node that was taken out of the settings has older runs only.
CREATE OR REPLACE VIEW masques_ops.rail_runs_now
(
    rail LowCardinality(String) COMMENT 'lightning, solana, base or journal; base means any EVM network: see network',
    network LowCardinality(String) COMMENT 'CAIP-2 id of the chain; empty for the journal',
    node LowCardinality(String) COMMENT 'what tells several nodes of one network apart; empty for the only one',
    name String COMMENT 'what the settings call the network or node',
    finished_at DateTime64(6, 'UTC') COMMENT 'when the run ended',
    state LowCardinality(String) COMMENT 'read, behind, failed or off',
    problem String COMMENT 'why it failed or is off; empty otherwise',
    endpoint String COMMENT 'scheme, host and port of the node, or the folder',
    position Int64 COMMENT 'block, slot, index or byte that the rail stands at',
    behind Int64 COMMENT 'distance from there to the rail''s head',
    calls UInt64 COMMENT 'requests sent',
    observations UInt64 COMMENT 'observations made, including those that were recorded already',
    revisions UInt64 COMMENT 'rows of masques.settlements appended',
    findings UInt64 COMMENT 'contradictions recorded',
    rejected UInt64 COMMENT 'rows of the quarantine',
    duration_s Float64 COMMENT 'how long it took, in seconds'
)
AS
SELECT
    rail, network, node, toString(if(name = '', rail, name)) AS name, finished_at, state, problem, endpoint,
    position, behind, calls, observations, revisions, findings, rejected, duration_s
FROM masques_ops.rail_runs
WHERE finished_at = (SELECT max(finished_at) FROM masques_ops.rail_runs)
COMMENT 'What the newest run did on each network and node of each rail.';
