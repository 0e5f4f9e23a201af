-- Facts for bench_marts.py over one year; what n is, is a hash of n. Few identities have most of
-- the sessions: the identity is a cubic draw.
INSERT INTO masques.masque_sessions
(
    report, session_id, identity_id, masque_name, masque_version, masque_source, donned_at,
    doffed_at, duration_ms, intent, client_info, trace_id, author_id, transaction_id
)
SELECT
    report,
    reinterpretAsUUID(sipHash128('session', n)),
    reinterpretAsUUID(sipHash128('party', toUInt64(
        {identities:UInt64} * pow(sipHash64('i', n) / 18446744073709551616, 3)))),
    concat('masque_', toString(sipHash64('m', n) % 500)),
    concat('1.', toString(sipHash64('v', n) % 10)),
    ['private', 'shared', 'marketplace'][1 + n % 3],
    now64(9, 'UTC') - toIntervalMillisecond(
        intDiv(31536000000, {sessions:UInt64}) * ({sessions:UInt64} - n)) AS donned,
    if(report = 'don', NULL, donned + toIntervalMillisecond(sipHash64('l', n) % 3600000)),
    if(report = 'don', NULL, sipHash64('l', n) % 3600000),
    if(report = 'doff', '', concat('intent number ', toString(sipHash64('t', n) % 100000))),
    if(report = 'doff', map(), map('client', concat('agent/', toString(n % 40)), 'os', 'linux')),
    lower(hex(sipHash128('trace', n))),
    reinterpretAsUUID(sipHash128('author', sipHash64('a', n) % 5000)),
    if(report = 'doff', NULL, reinterpretAsUUID(sipHash128('transaction', n * 6)))
FROM
(
    SELECT
        number AS n,
        arrayJoin(multiIf(n % 10 < 5, ['don', 'doff'], n % 10 < 9, ['session'], ['don'])) AS report
    FROM numbers({first:UInt64}, {rows:UInt64})
);

INSERT INTO masques.settlements
(
    settlement_id, timestamp, rail, protocol, amount, currency, tx_hash, block_height,
    confirmations, from_account_id, to_address, status, network_fee, facilitator_fee, direction,
    revision, recorded_at, finality, block_hash, network, asset, payer, payment_ref, fee_currency,
    transaction_id
)
SELECT
    reinterpretAsUUID(sipHash128('settlement', n)),
    now64(9, 'UTC') - toIntervalMillisecond(
        intDiv(31536000000, {settlements:UInt64}) * ({settlements:UInt64} - n)) AS at,
    ['base', 'solana', 'lightning'][1 + n % 3] AS rail_name,
    if(rail_name = 'lightning', 'l402', 'x402'),
    toDecimal256(sipHash64('a', n) % 1000000, 18) / 1000000,
    if(rail_name = 'lightning', 'BTC', 'USD'),
    concat('0x', lower(hex(sipHash128('tx', n))), lower(hex(sipHash128('tx2', n)))),
    30000000 + n,
    revision_no * 6,
    if(n % 50 = 0, toUUID('00000000-0000-0000-0000-000000000000'),
        reinterpretAsUUID(sipHash128('account', sipHash64('p', n) % {identities:UInt64}))),
    '0x7e5f4552091a69125d5dfcb7b8c2659029395bdf',
    multiIf(revision_no = 1, 'pending', n % 100 = 0, 'failed', 'confirmed'),
    toDecimal256(sipHash64('f', n) % 1000, 18) / 1000000,
    0,
    if(n % 20 = 0, 'out', 'in'),
    revision_no,
    at + toIntervalSecond(revision_no * 30),
    if(revision_no = 1, 'latest', 'finalized'),
    concat('0x', lower(hex(sipHash128('block', n))), lower(hex(sipHash128('block2', n)))),
    concat('network:', rail_name),
    '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
    concat('0x', substring(lower(hex(sipHash128('payer', sipHash64('p', n) % 100000))), 1, 40)),
    lower(hex(sipHash128('reference', n))),
    if(rail_name = 'lightning', 'BTC', 'ETH'),
    if(n % 4 = 0, NULL, reinterpretAsUUID(sipHash128('transaction', n * 6 + 2)))
FROM
(
    SELECT number AS n, arrayJoin([1, 2]) AS revision_no
    FROM numbers({first:UInt64}, {rows:UInt64})
);

-- Of six events one is a hold and one ends a hold, a hundred holds later; one hold in 50,000
-- is never ended.
INSERT INTO masques.transactions
(
    transaction_id, timestamp, debit_account_id, credit_account_id, amount, currency,
    transaction_type, resource_type, resource_id, status, event_type, trace_id, span_id, ledger,
    code, pending_id, timeout_s
)
SELECT
    reinterpretAsUUID(sipHash128('transaction', n)),
    now64(9, 'UTC') - toIntervalMicrosecond(
        intDiv(31536000000000, {transactions:UInt64}) * ({transactions:UInt64} - n)),
    reinterpretAsUUID(sipHash128('account', toUInt64({identities:UInt64}
        * pow(sipHash64('d', fact) / 18446744073709551616, 3)))),
    reinterpretAsUUID(sipHash128('account', toUInt64({identities:UInt64}
        * pow(sipHash64('c', fact) / 18446744073709551616, 3)))),
    toDecimal256(1 + sipHash64('a', fact) % 100000, 18) / 1000,
    'USD',
    ['escrow_hold', 'escrow_release', 'api_call', 'fee', 'masque_session', 'api_call'][1 + n % 6],
    'api',
    toString(sipHash64('r', fact) % 5000),
    multiIf(kind = 'two_phase_pending', 'pending', kind = 'two_phase_voided', 'voided',
        kind = 'two_phase_expired', 'expired', 'posted'),
    multiIf(
        n % 6 = 0, 'two_phase_pending',
        fact = n, 'single_phase',
        intDiv(n, 6) % 100 = 0, 'two_phase_expired',
        intDiv(n, 6) % 100 < 3, 'two_phase_voided',
        'two_phase_posted') AS kind,
    lower(hex(sipHash128('trace', fact))),
    lower(hex(sipHash64('span', n))),
    1,
    3,
    if(n % 6 != 0 AND fact != n, reinterpretAsUUID(sipHash128('transaction', fact)), NULL),
    if(n % 6 = 0, 3600, 0)
FROM
(
    SELECT
        number AS n,
        -- What the event is about: for the end of a hold that hold, else itself.
        if(n % 6 = 1 AND n > 600 AND intDiv(n - 601, 6) % 50000 != 0, toUInt64(n - 601), n)
            AS fact
    FROM numbers({first:UInt64}, {rows:UInt64})
);
