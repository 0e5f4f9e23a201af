-- Appends a revision to each settlement whose link to the ledger or whose account is another now.
--
-- By reference: masques_ops.settlement_links names the ledger transfer, and masques.transactions has it.
-- The payer's account is the side of it that is no rail side by the chart, the debit side first. By
-- registry: the payer's address belonged to one account at the time of the payment; with two there is
-- none. An account that came with a link goes with it.
-- Without skip indexes: see current_by_id.sql.
INSERT INTO masques.settlements
    (settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes)
WITH
    toUUID({unattributed:String}) AS nobody,
    rail_sides AS
    (
        SELECT code FROM masques_ops.chart_account_codes WHERE is_rail_side = 1
    ),
    links AS
    (
        SELECT settlement_id AS linked_id, min(transaction_id) AS link_id
        FROM masques_ops.settlement_links FINAL
        GROUP BY settlement_id
    ),
    open AS
    (
        SELECT c.*, l.link_id AS link_id
        FROM masques_marts.settlements_current AS c
        LEFT JOIN links AS l ON l.linked_id = c.settlement_id
        WHERE c.status != 'superseded'
            AND (c.from_account_id = nobody OR ifNull(c.transaction_id, nobody) != l.link_id)
    ),
    by_reference AS
    (
        SELECT
            t.transaction_id AS linked_id,
            any(if(
                d.code IN (SELECT code FROM rail_sides),
                t.credit_account_id,
                t.debit_account_id)) AS account_id
        FROM masques.transactions AS t
        LEFT JOIN masques.accounts AS d ON d.account_id = t.debit_account_id
        WHERE t.transaction_id IN (SELECT link_id FROM links)
            AND t.event_type != 'two_phase_expired'
        GROUP BY t.transaction_id
    ),
    by_registry AS
    (
        -- An entry of the payment's network comes before one of all networks.
        SELECT
            o.settlement_id AS linked_id,
            if(countIf(p.network != '') > 0, anyIf(p.account_id, p.network != ''), any(p.account_id)) AS account_id
        FROM open AS o
        INNER JOIN
        (
            SELECT rail, network, address, account_id, valid_from, valid_to
            FROM masques_ops.payer_addresses FINAL
        ) AS p ON p.rail = o.rail AND p.address = o.payer
        WHERE o.payer != '' AND o.timestamp >= p.valid_from AND o.timestamp < p.valid_to
            AND p.network IN ('', o.network)
        GROUP BY o.settlement_id
        HAVING if(countIf(p.network != '') > 0, uniqExactIf(p.account_id, p.network != ''),
            uniqExact(p.account_id)) = 1
    ),
    wanted AS
    (
        SELECT
            o.*,
            multiIf(
                r.account_id != nobody, r.account_id,
                g.account_id != nobody, g.account_id,
                ifNull(o.transaction_id, nobody) = o.link_id, o.from_account_id,
                nobody) AS account_id
        FROM open AS o
        LEFT JOIN by_reference AS r ON r.linked_id = o.link_id
        LEFT JOIN by_registry AS g ON g.linked_id = o.settlement_id
    )
SELECT
    settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, account_id AS from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision + 1 AS next_revision,
    toDateTime64({recorded_at:String}, 6, 'UTC') AS written_at, finality, block_hash, network, asset,
    payer, payment_ref, fee_currency, nullIf(link_id, nobody) AS transaction_id, attributes
FROM wanted AS w
WHERE w.account_id != w.from_account_id OR ifNull(w.transaction_id, nobody) != w.link_id
-- A table of months takes a hundred of them in one insert: a clock that jumps may write more.
SETTINGS use_skip_indexes = 0, max_partitions_per_insert_block = 0
