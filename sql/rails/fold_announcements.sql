-- Marks announcements as superseded whose transaction the chain records as another settlement: one by
-- Permit2, one of `upto`, a payout. The money is the same: the same transaction, asset, receiver and
-- direction, the same payer where both know it, and not more than was announced; exactly as much when
-- we paid it out. Where two settlements of the transaction fit, neither is taken, except of payouts that
-- are alike: as many lines as transfers of one amount to one receiver belong together in their order.
-- Without skip indexes: see current_by_id.sql.
INSERT INTO masques.settlements
    (settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, failure_reason, network_fee,
    facilitator_fee, direction, revision, recorded_at, finality, block_hash, network, asset, payer,
    payment_ref, fee_currency, transaction_id, attributes)
WITH
    announced AS
    (
        SELECT *
        FROM masques_marts.settlements_current
        WHERE finality = '' AND tx_hash != '' AND status IN ('pending', 'unknown')
    ),
    -- Announcements that are alike, and the transfers that fit them.
    alike AS
    (
        SELECT
            a.direction AS direction,
            arraySort(groupUniqArray(a.settlement_id)) AS lines,
            arraySort(groupUniqArray(c.settlement_id)) AS transfers
        FROM announced AS a
        INNER JOIN
        (
            SELECT *
            FROM masques_marts.settlements_current
            WHERE finality != '' AND status = 'confirmed'
                AND tx_hash IN (SELECT tx_hash FROM announced)
        ) AS c ON c.tx_hash = a.tx_hash AND c.rail = a.rail AND c.network = a.network
            AND c.asset = a.asset AND c.direction = a.direction
        WHERE c.to_address = a.to_address
            AND (c.amount = a.amount OR (c.amount < a.amount AND a.direction = 'in'))
            AND (a.payer = '' OR c.payer = '' OR a.payer = c.payer)
            AND c.settlement_id != a.settlement_id
        GROUP BY
            a.rail, a.network, a.tx_hash, a.asset, a.to_address, a.payer, a.amount, direction
        HAVING length(transfers) = 1 OR (direction = 'out' AND length(transfers) = length(lines))
    ),
    matches AS
    (
        SELECT pair.1 AS announced_id, pair.2 AS settlement_id
        FROM
        (
            SELECT arrayJoin(arrayMap(
                (line, place) -> (line, transfers[if(length(transfers) = 1, 1, place)]),
                lines, arrayEnumerate(lines))) AS pair
            FROM alike
        )
    )
SELECT
    a.settlement_id, a.timestamp, a.rail, a.protocol, a.amount, a.currency, a.tx_hash,
    a.block_height, a.confirmations, a.from_account_id, a.to_address, 'superseded' AS status,
    '' AS failure_reason, a.network_fee, a.facilitator_fee, a.direction, a.revision + 1 AS revision,
    toDateTime64({recorded_at:String}, 6, 'UTC') AS recorded_at, a.finality, a.block_hash,
    a.network, a.asset, a.payer, a.payment_ref, a.fee_currency,
    CAST(NULL, 'Nullable(UUID)') AS transaction_id,
    mapUpdate(a.attributes, map('superseded_by', toString(m.settlement_id))) AS attributes
FROM announced AS a
INNER JOIN matches AS m ON m.announced_id = a.settlement_id
-- A table of months takes a hundred of them in one insert: a clock that jumps may write more.
SETTINGS use_skip_indexes = 0, max_partitions_per_insert_block = 0
