-- One page of accounts into masques.accounts, or into the table that a rebuild fills. The rows come as ACCOUNT_DTYPE of
-- masques_pipelines/ledger/records.py, with the chart as arrays.
--
-- An account that is there already with the same content, in all columns but the time of the reading, is left out, so a page may come twice. The
-- accounts to compare with are found by their creation time, which never changes: a page is a range of
-- it. Not by FINAL, which would read every column of every account for each page.
INSERT INTO {database:Identifier}.{table:Identifier}
(
    account_id, identity_id, snapshot_at, credits_posted, debits_posted, credits_pending,
    debits_pending, currency, account_type, ledger, code, flags, created_at
)
WITH read AS
(
    SELECT
        reinterpretAsUUID(bitOr(bitShiftLeft(a.id, 64), bitShiftRight(a.id, 64))) AS account_id,
        reinterpretAsUUID(
            bitOr(bitShiftLeft(a.user_data_128, 64), bitShiftRight(a.user_data_128, 64)))
            AS identity_id,
        toInt256(intExp10(
            18 - transform(a.ledger, {ledgers:Array(UInt32)}, {scales:Array(UInt8)}, 0))) AS unit,
        reinterpret(toInt256(a.credits_posted) * unit, 'Decimal(76, 18)') AS credits_posted,
        reinterpret(toInt256(a.debits_posted) * unit, 'Decimal(76, 18)') AS debits_posted,
        reinterpret(toInt256(a.credits_pending) * unit, 'Decimal(76, 18)') AS credits_pending,
        reinterpret(toInt256(a.debits_pending) * unit, 'Decimal(76, 18)') AS debits_pending,
        if(has({ledgers:Array(UInt32)}, a.ledger),
            transform(a.ledger, {ledgers:Array(UInt32)}, {assets:Array(String)}, ''),
            concat('ledger_', toString(a.ledger))) AS currency,
        if(has({codes:Array(UInt16)}, a.code),
            transform(a.code, {codes:Array(UInt16)}, {account_types:Array(String)}, ''),
            concat('code_', toString(a.code))) AS account_type,
        a.ledger AS ledger,
        a.code AS code,
        a.flags AS flags,
        fromUnixTimestamp64Nano(toInt64(a.timestamp), 'UTC') AS created_at
    FROM input('
        id UInt128, debits_pending UInt128, debits_posted UInt128, credits_pending UInt128,
        credits_posted UInt128, user_data_128 UInt128, user_data_64 UInt64, user_data_32 UInt32,
        reserved UInt32, ledger UInt32, code UInt16, flags UInt16, timestamp UInt64
    ') AS a
)
SELECT
    account_id, identity_id, fromUnixTimestamp64Nano({snapshot_at_ns:Int64}, 'UTC') AS snapshot_at,
    credits_posted, debits_posted, credits_pending, debits_pending, currency, account_type, ledger,
    code, flags, created_at
FROM read
WHERE (account_id, credits_posted, debits_posted, credits_pending, debits_pending, currency,
    account_type, flags, identity_id, ledger, code, created_at) NOT IN
(
    SELECT account_id, latest.1, latest.2, latest.3, latest.4, latest.5, latest.6, latest.7,
        latest.8, latest.9, latest.10, latest.11
    FROM
    (
        SELECT
            k.account_id AS account_id,
            argMax(
                (k.credits_posted, k.debits_posted, k.credits_pending, k.debits_pending,
                    toString(k.currency), toString(k.account_type), k.flags, k.identity_id,
                    k.ledger, k.code, k.created_at),
                (k.snapshot_at, k.ingested_at)) AS latest
        FROM {database:Identifier}.{table:Identifier} AS k
        WHERE k.created_at >= fromUnixTimestamp64Nano({created_from_ns:Int64}, 'UTC')
            AND k.created_at <= fromUnixTimestamp64Nano({created_to_ns:Int64}, 'UTC')
        GROUP BY k.account_id
    )
)
