-- Facts for bench_reputation.py: what n is, is a hash of n.
INSERT INTO masques.identities (identity_id, created_at, external_ids, updated_at)
SELECT
    reinterpretAsUUID(sipHash128('party', toUInt64(number))), now64(9) - INTERVAL 200 DAY,
    map('wallet', concat('0x', toString(number - (number % 1000 = 1)), 'padding')),
    now64(9) - INTERVAL 200 DAY
FROM numbers({identities:UInt32});

INSERT INTO masques.accounts (account_id, identity_id, account_type, snapshot_at)
SELECT reinterpretAsUUID(sipHash128('account', toUInt64(number))), reinterpretAsUUID(sipHash128('party', toUInt64(number))), 'prepaid', now64(9)
FROM numbers({identities:UInt32});

INSERT INTO masques_ops.payer_clusters
SELECT
    reinterpretAsUUID(sipHash128('party', toUInt64(number * 5))), reinterpretAsUUID(sipHash128('party', toUInt64(number * 50 + 1))),
    reinterpretAsUUID(sipHash128('party', toUInt64(number * 50 + 1))), 1
FROM numbers(intDiv({identities:UInt32}, 5));

INSERT INTO masques.reputation_events
(
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, channel, attributes
)
SELECT
    reinterpretAsUUID(sipHash128('event', n)),
    now64(9) - toIntervalMillisecond(sipHash64('t', n) % (120 * 86400000)),
    reinterpretAsUUID(sipHash128('party', toUInt64((sipHash64('i', n) % {identities:UInt32})))),
    ['task_quality', 'economic', 'identity_hygiene'][1 + sipHash64('c', n) % 3],
    'rated',
    if(sipHash64('d', n) % 8 = 0, -1, 1) * (sipHash64('x', n) % 100) / 100,
    0.9,
    multiIf(n % 20 < 8, 'transaction', n % 20 < 11, 'session', n % 20 < 13, 'request',
        n % 20 < 14, 'settlement', n % 20 < 16, 'attestation', '') AS kind,
    if(kind IN ('attestation', ''), '', toString(reinterpretAsUUID(sipHash128(kind, n)))),
    if(kind = 'attestation', 'pipeline', 'landing'),
    map('counterparty_id', if(kind = 'attestation',
        (SELECT any(lists['attestors'][1]) FROM masques_ops.reputation_model_versions),
        toString(reinterpretAsUUID(sipHash128('party', toUInt64((sipHash64('p', (sipHash64('i', n) % {identities:UInt32}), sipHash64('q', n) % 20) % {identities:UInt32})))))))
FROM (SELECT number AS n FROM numbers({events:UInt64}));

INSERT INTO masques.transactions
(
    transaction_id, timestamp, debit_account_id, credit_account_id, amount, currency,
    transaction_type, status, event_type, ledger, code, pending_id
)
SELECT
    reinterpretAsUUID(sipHash128('transaction', n)),
    now64(9) - toIntervalMillisecond(sipHash64('t', n) % (120 * 86400000)),
    reinterpretAsUUID(sipHash128('account', toUInt64((sipHash64('p', (sipHash64('i', n) % {identities:UInt32}), sipHash64('q', n) % 20) % {identities:UInt32})))),
    reinterpretAsUUID(sipHash128('account', toUInt64((sipHash64('i', n) % {identities:UInt32})))),
    toDecimal256((sipHash64('a', n) % 1000) / 100, 18),
    'USD',
    if(n % 2 = 0, 'api_call', 'masque_session'),
    'posted',
    if(n % 2 = 0, 'single_phase', 'two_phase_posted'),
    1,
    3,
    if(n % 2 = 0, NULL, reinterpretAsUUID(sipHash128('hold', n)))
FROM (SELECT number AS n FROM numbers({events:UInt64}))
WHERE n % 20 < 11;

INSERT INTO masques.masque_sessions
    (report, session_id, identity_id, author_id, donned_at, transaction_id)
SELECT
    'session', reinterpretAsUUID(sipHash128('session', n)), reinterpretAsUUID(sipHash128('party', toUInt64((sipHash64('p', (sipHash64('i', n) % {identities:UInt32}), sipHash64('q', n) % 20) % {identities:UInt32})))),
    reinterpretAsUUID(sipHash128('party', toUInt64((sipHash64('i', n) % {identities:UInt32})))),
    now64(9) - toIntervalMillisecond(sipHash64('t', n) % (120 * 86400000)), reinterpretAsUUID(sipHash128('transaction', n))
FROM (SELECT number AS n FROM numbers({events:UInt64}))
WHERE n % 20 IN (8, 9, 10);

INSERT INTO masques.api_requests (request_id, identity_id, timestamp)
SELECT reinterpretAsUUID(sipHash128('request', n)), reinterpretAsUUID(sipHash128('party', toUInt64((sipHash64('p', (sipHash64('i', n) % {identities:UInt32}), sipHash64('q', n) % 20) % {identities:UInt32})))), now64(9) - toIntervalMillisecond(sipHash64('t', n) % (120 * 86400000))
FROM (SELECT number AS n FROM numbers({events:UInt64}))
WHERE n % 20 IN (11, 12);

INSERT INTO masques.settlements
    (settlement_id, timestamp, status, transaction_id, revision, recorded_at, direction)
SELECT
    reinterpretAsUUID(sipHash128('settlement', n)), now64(9) - toIntervalMillisecond(sipHash64('t', n) % (120 * 86400000)), 'confirmed',
    reinterpretAsUUID(sipHash128('transaction', n - 13)), 1, now64(6), 'in'
FROM (SELECT number AS n FROM numbers({events:UInt64}))
WHERE n % 20 = 13
