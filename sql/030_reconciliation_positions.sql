-- Is the money there: what each run found, when it was not what the run before found.
CREATE TABLE IF NOT EXISTS masques_ops.positions
(
    asset LowCardinality(String) COMMENT 'asset of the ledger; assets of rails that are booked 1:1 in it are part of it',
    computed_at DateTime64(6, 'UTC') COMMENT 'begin of the run that found it so',
    owed Decimal(76, 18) COMMENT 'what the platform owes: sum of the balances of all accounts that are no rail side',
    owed_by_type Map(String, Decimal(76, 18)) COMMENT 'the same by account type: prepaid, author, escrow and so on',
    treasury Decimal(76, 18) COMMENT 'what the ledger says is on the rails: balances of the rail-side accounts',
    settled Decimal(76, 18) COMMENT 'what final settlements brought, less what they took',
    vouchers Decimal(76, 18) COMMENT 'accepted and not on the rail yet: vouchers to claim, and payments off the chain',
    vouchers_until DateTime('UTC') COMMENT 'until when the first of them has to be claimed; 1970 when none says',
    on_rails Decimal(76, 18) COMMENT 'what the nodes say is there, at the blocks of sides',
    opening Decimal(76, 18) COMMENT 'what was there when the rails were first read',
    unbooked Decimal(76, 18) COMMENT 'settled less treasury: what moved and is not booked, or the reverse',
    in_time Decimal(76, 18) COMMENT 'of unbooked, what payments explain that are expected to be settled or booked yet',
    broken Decimal(76, 18) COMMENT 'of unbooked, what breaks explain',
    unexplained Decimal(76, 18) COMMENT 'the rest of unbooked',
    moved_unseen Decimal(76, 18) COMMENT 'on_rails less what settlements and fees lead to: what moved without a settlement',
    uncovered Decimal(76, 18) COMMENT 'what is owed, but for money on its way, less on_rails, when that is more than is there; 0 otherwise',
    state LowCardinality(String) COMMENT 'proved; broken: breaks explain what differs; differs: money moved unseen, more is owed than is there, or something is unexplained in two runs; unread: a balance of a rail is not known',
    sides Array(String) COMMENT 'rail, network, asset and block of each balance, its state and difference'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (asset, computed_at)
TTL toDate(computed_at) + INTERVAL 7 YEAR
COMMENT 'What was owed and there per asset, one row for each change that a run of the reconciliation found. Read masques_marts.position.';
