-- Events of the ledger into masques.transactions, or into the table that a rebuild fills. They come
-- as EVENT_DTYPE of masques_pipelines/ledger/records.py, with the chart as arrays.
--
-- A time that is there already is dropped, so events may come twice, whole or in part. A ledger id x
-- becomes the UUID with the integer x by swapping its halves. An expiry has no pending_id in the
-- ledger: it is the hold.
INSERT INTO {database:Identifier}.{table:Identifier}
(
    transaction_id, timestamp, debit_account_id, credit_account_id, amount, currency,
    transaction_type, resource_type, resource_id, status, attributes, trace_id, span_id, pending_id,
    event_type, ledger, code, flags, timeout_s, resource_code, chart_version
)
SELECT
    reinterpretAsUUID(bitOr(bitShiftLeft(e.transfer_id, 64), bitShiftRight(e.transfer_id, 64)))
        AS transfer,
    fromUnixTimestamp64Nano(toInt64(e.timestamp), 'UTC') AS happened_at,
    reinterpretAsUUID(
        bitOr(bitShiftLeft(e.debit_account_id, 64), bitShiftRight(e.debit_account_id, 64))),
    reinterpretAsUUID(
        bitOr(bitShiftLeft(e.credit_account_id, 64), bitShiftRight(e.credit_account_id, 64))),
    reinterpret(
        toInt256(e.transfer_amount) * toInt256(intExp10(
            18 - transform(e.ledger, {ledgers:Array(UInt32)}, {scales:Array(UInt8)}, 0))),
        'Decimal(76, 18)'),
    if(has({ledgers:Array(UInt32)}, e.ledger),
        transform(e.ledger, {ledgers:Array(UInt32)}, {assets:Array(String)}, ''),
        concat('ledger_', toString(e.ledger))),
    if(has({codes:Array(UInt16)}, e.transfer_code),
        transform(e.transfer_code, {codes:Array(UInt16)}, {transaction_types:Array(String)}, ''),
        concat('code_', toString(e.transfer_code))),
    multiIf(
        e.transfer_user_data_32 = 0, '',
        has({resource_codes:Array(UInt8)},
            toUInt8(bitShiftRight(e.transfer_user_data_32, 24)) AS type_code),
        transform(type_code, {resource_codes:Array(UInt8)}, {resource_types:Array(String)}, ''),
        concat('type_', toString(type_code))),
    if(e.transfer_user_data_32 = 0, '', toString(bitAnd(e.transfer_user_data_32, 16777215))),
    transform(e.type, [1, 3, 4], ['pending', 'voided', 'expired'], 'posted'),
    if(e.type = 4, map('hold_timestamp_ns', toString(e.transfer_timestamp)), map()),
    if(e.transfer_user_data_128 = 0, '',
        lower(hex(reverse(reinterpretAsFixedString(e.transfer_user_data_128))))),
    if(e.transfer_user_data_64 = 0, '',
        lower(hex(reverse(reinterpretAsFixedString(e.transfer_user_data_64))))),
    multiIf(
        e.type = 4, transfer,
        e.transfer_pending_id = 0, NULL,
        reinterpretAsUUID(bitOr(
            bitShiftLeft(e.transfer_pending_id, 64), bitShiftRight(e.transfer_pending_id, 64)))),
    transform(
        e.type,
        [0, 1, 2, 3, 4],
        ['single_phase', 'two_phase_pending', 'two_phase_posted', 'two_phase_voided',
            'two_phase_expired'],
        ''),
    e.ledger, e.transfer_code, e.transfer_flags, e.transfer_timeout, type_code,
    {chart_version:UInt64}
FROM input('
    timestamp UInt64, transfer_timestamp UInt64, transfer_id UInt128, debit_account_id UInt128,
    credit_account_id UInt128, transfer_amount UInt128, transfer_pending_id UInt128,
    transfer_user_data_128 UInt128, transfer_user_data_64 UInt64, transfer_user_data_32 UInt32,
    transfer_timeout UInt32, ledger UInt32, transfer_code UInt16, transfer_flags UInt16, type UInt8
') AS e
WHERE happened_at NOT IN
(
    SELECT t.timestamp
    FROM {database:Identifier}.{table:Identifier} AS t
    WHERE t.timestamp >= fromUnixTimestamp64Nano({from_ns:Int64}, 'UTC')
        AND t.timestamp <= fromUnixTimestamp64Nano({to_ns:Int64}, 'UTC')
)
