-- Adds to a settlement of the chain what the line said that announced its payment: the protocol, and
-- the attributes in `names`. Of several lines the one whose answer proves most, then the earliest, as
-- in revisions.py; what is there of an earlier run is one of them.
-- Runs before fold_announcements.sql, so that a run that ends between the two does it again.
-- Without skip indexes: see current_by_id.sql.
INSERT INTO masques.settlements
    (settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes)
WITH
    lines AS
    (
        SELECT
            m.settlement_id AS recorded_id,
            argMin(
                (toString(a.protocol), a.attributes, a.amount),
                (-indexOf({answers:Array(String)}, a.attributes['answer']),
                    a.attributes['journal_at'], a.settlement_id)) AS best
        FROM masques_marts.settlements_current AS a
        INNER JOIN masques_ops.announcements_recorded AS m ON m.announced_id = a.settlement_id
        GROUP BY recorded_id
    ),
    found AS
    (
        SELECT
            c.*,
            best.1 AS said_protocol,
            if(best.3 > c.amount AND NOT mapContains(best.2, 'amount_max'),
                mapUpdate(best.2, map('amount_max', toString(best.3))), best.2) AS said,
            tuple(-indexOf({answers:Array(String)}, c.attributes['answer']),
                c.attributes['journal_at']) AS had,
            tuple(-indexOf({answers:Array(String)}, said['answer']), said['journal_at']) AS has
        FROM masques_marts.settlements_current AS c
        INNER JOIN lines ON lines.recorded_id = c.settlement_id
    )
SELECT
    settlement_id, timestamp, rail, if(protocol = '', said_protocol, protocol) AS protocol, amount,
    currency, tx_hash, block_height, confirmations, from_account_id, to_address, status,
    failure_reason, network_fee, facilitator_fee, direction, revision + 1 AS revision,
    toDateTime64({recorded_at:String}, 6, 'UTC') AS recorded_at, finality, block_hash, network, asset,
    payer, payment_ref, fee_currency, transaction_id,
    mapUpdate(
        mapFilter((name, value) -> NOT has({names:Array(String)}, name), attributes),
        mapFilter((name, value) -> has({names:Array(String)}, name), said)) AS attributes
FROM found
WHERE NOT mapContains(attributes, 'journal_at') OR has < had
-- A table of months takes a hundred of them in one insert: a clock that jumps may write more.
SETTINGS use_skip_indexes = 0, max_partitions_per_insert_block = 0
