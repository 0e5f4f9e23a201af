-- Finds, for transfers that settlements name and that have no rail side, the transfer of the same linked
-- chain that has one. Of transfers that came before `since` none is looked for. The ledger stamps a chain
-- one nanosecond apart; all but its last are flagged linked.
INSERT INTO masques_ops.payment_chains (transaction_id, rail_transaction_id)
WITH
    toUUID('00000000-0000-0000-0000-000000000000') AS none,
    rail_accounts AS
    (
        SELECT account_id FROM masques.accounts
        WHERE code IN (SELECT code FROM masques_ops.chart_account_codes WHERE is_rail_side)
    ),
    named AS
    (
        SELECT transaction_id AS named_id, timestamp AS named_at
        FROM masques.transactions
        WHERE transaction_id IN
        (
            SELECT transaction_id FROM masques_ops.settlement_links
            WHERE {is_full:UInt8} OR transaction_id IN (SELECT item_id FROM masques_ops.payments_touched)
        )
            AND event_type != 'two_phase_expired'
            AND ingested_at >= {since:DateTime64(6, 'UTC')}
            AND debit_account_id NOT IN rail_accounts AND credit_account_id NOT IN rail_accounts
    ),
    near AS
    (
        SELECT named_id, named_at + toIntervalNanosecond(arrayJoin(range(0, 2 * {most:UInt32})) - {most:UInt32}) AS at
        FROM named
    ),
    chains AS
    (
        SELECT
            n.named_id AS named_id,
            arraySort(groupArray((
                toUnixTimestamp64Nano(t.timestamp), t.transaction_id, bitTest(t.flags, 0),
                t.debit_account_id IN rail_accounts OR t.credit_account_id IN rail_accounts))) AS events,
            arrayFirst(chain -> arrayExists(event -> event.2 = named_id, chain), arraySplit(
                (event, number) -> number > 1
                    AND (events[number - 1].3 = 0 OR events[number - 1].1 + 1 != event.1),
                events, arrayEnumerate(events))) AS chain
        FROM near AS n
        INNER JOIN
        (
            SELECT timestamp, transaction_id, flags, debit_account_id, credit_account_id
            FROM masques.transactions WHERE timestamp IN (SELECT at FROM near)
        ) AS t ON t.timestamp = n.at
        GROUP BY named_id
    )
SELECT named_id, arrayFirst(event -> event.4, chain).2 AS rail_id
FROM chains
WHERE rail_id != none AND named_id NOT IN (SELECT transaction_id FROM masques_ops.payment_chains)
SETTINGS use_skip_indexes = 0
