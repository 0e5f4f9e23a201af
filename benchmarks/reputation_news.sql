-- What comes in within an hour, for bench_reputation.py.
INSERT INTO masques.reputation_events
(
    event_id, timestamp, identity_id, category, event_type, score_delta, confidence, reference_type,
    reference_id, channel, attributes
)
SELECT
    reinterpretAsUUID(sipHash128('event', n)),
    now64(9) - toIntervalMillisecond(sipHash64('t', n) % 3600000),
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
FROM (SELECT 20 * ({events:UInt64} + number) AS n FROM numbers(5000));

INSERT INTO masques.transactions
(
    transaction_id, timestamp, debit_account_id, credit_account_id, amount, currency,
    transaction_type, status, event_type, ledger, code, pending_id
)
SELECT
    reinterpretAsUUID(sipHash128('transaction', n)),
    now64(9) - toIntervalMillisecond(sipHash64('t', n) % 3600000),
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
FROM (SELECT 20 * ({events:UInt64} + number) AS n FROM numbers(5000));

INSERT INTO masques.settlements
    (settlement_id, timestamp, status, transaction_id, revision, recorded_at, direction)
SELECT
    reinterpretAsUUID(sipHash128('failed', n)), now64(9) - INTERVAL 30 DAY, 'failed',
    reinterpretAsUUID(sipHash128('transaction', n)), 1, now64(6), 'in'
FROM (SELECT 20 * number + 1 AS n FROM numbers(1000));
