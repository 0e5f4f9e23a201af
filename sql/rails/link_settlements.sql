-- Appends a revision with its account to each unattributed settlement whose account is known now.
--
-- By reference: the journal named the ledger transfer, and masques.transactions has the transfer. The
-- payer's account is the side of it that is not the treasury's, the debit side first. By registry:
-- the payer's address belonged to one account at the time of the payment; with two there is no link.
-- Without skip indexes: see current_by_id.sql.
INSERT INTO masques.settlements
    (settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes)
WITH
    toUUID({unattributed:String}) AS nobody,
    open AS
    (
        SELECT *
        FROM masques_marts.settlements_current
        WHERE from_account_id = toUUID({unattributed:String})
    ),
    by_reference AS
    (
        SELECT
            t.transaction_id AS linked_id,
            any(if(d.account_type = {treasury_type:String}, t.credit_account_id, t.debit_account_id))
                AS account_id
        FROM masques.transactions AS t
        LEFT JOIN masques.accounts AS d ON d.account_id = t.debit_account_id
        WHERE t.transaction_id IN (SELECT assumeNotNull(transaction_id) FROM open WHERE transaction_id IS NOT NULL)
            AND t.event_type != 'two_phase_expired'
        GROUP BY t.transaction_id
    ),
    by_registry AS
    (
        SELECT o.settlement_id AS linked_id, any(p.account_id) AS account_id
        FROM open AS o
        INNER JOIN
        (
            SELECT rail, address, account_id, valid_from, valid_to
            FROM masques_ops.payer_addresses FINAL
        ) AS p ON p.rail = o.rail AND p.address = o.payer
        WHERE o.payer != '' AND o.timestamp >= p.valid_from AND o.timestamp < p.valid_to
        GROUP BY o.settlement_id
        HAVING uniqExact(p.account_id) = 1
    )
SELECT
    o.settlement_id, o.timestamp, o.rail, o.protocol, o.amount, o.currency, o.tx_hash,
    o.block_height, o.confirmations,
    if(r.account_id != nobody, r.account_id, g.account_id) AS from_account_id,
    o.to_address, o.status, o.failure_reason, o.network_fee, o.facilitator_fee, o.direction,
    o.revision + 1 AS revision,
    toDateTime64({recorded_at:String}, 6, 'UTC') AS recorded_at,
    o.finality, o.block_hash, o.network, o.asset, o.payer, o.payment_ref, o.fee_currency,
    o.transaction_id, o.attributes
FROM open AS o
LEFT JOIN by_reference AS r ON r.linked_id = ifNull(o.transaction_id, nobody)
LEFT JOIN by_registry AS g ON g.linked_id = o.settlement_id
WHERE if(r.account_id != nobody, r.account_id, g.account_id) != nobody
SETTINGS use_skip_indexes = 0
