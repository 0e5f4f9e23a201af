-- The rows of each sealed range against the bytes that the ledger sent, in two steps: the bytes are put
-- together from the rows (the form of EVENT_DTYPE in masques_pipelines/ledger/records.py) for their
-- digest, and each column that is not itself a number of the ledger is derived from these bytes again
-- and compared, as write_transactions.sql derives it. So two different rows never pass as the same
-- bytes. Ranges are given by their ends.
SELECT
    sealed_to,
    count() AS events,
    lower(hex(SHA256(arrayStringConcat(
        arrayMap(pair -> pair.2, arraySort(groupArray((e.at_ns, bytes))))))))
        AS events_digest,
    countIf(e.odd != 0) AS odd_rows,
    arrayFilter(
        (name, bit) -> bitTest(groupBitOr(e.odd), bit),
        ['amount', 'status', 'attributes', 'trace_id', 'span_id', 'pending_id', 'resource_id',
            'chart_version', 'currency', 'transaction_type', 'resource_type'],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) AS odd_columns
FROM
(
    WITH
        r.event_type = 'two_phase_expired' AS is_expiry,
        toUUID('00000000-0000-0000-0000-000000000000') AS no_uuid,
        toUInt64OrZero(r.attributes['hold_timestamp_ns']) AS hold_ns,
        toUInt32(r.resource_code) * 16777216 + toUInt32OrZero(r.resource_id) AS resource,
        toString(r.currency) AS currency,
        toString(r.transaction_type) AS transaction_type,
        toString(r.resource_type) AS resource_type,
        mapKeys(r.attributes) AS keys,
        mapValues(r.attributes) AS texts
    SELECT
        r.at_ns AS at_ns,
        s.until_ns AS sealed_to,
        concat(
            reinterpretAsFixedString(r.at_ns),
            reinterpretAsFixedString(if(is_expiry, hold_ns, r.at_ns)),
            reinterpretAsFixedString(toUInt128(r.transaction_id)),
            reinterpretAsFixedString(toUInt128(r.debit_account_id)),
            reinterpretAsFixedString(toUInt128(r.credit_account_id)),
            reinterpretAsFixedString(toUInt128(r.amount)),
            reinterpretAsFixedString(toUInt128(
                if(is_expiry OR r.pending_id IS NULL, no_uuid, assumeNotNull(r.pending_id)))),
            reverse(unhex(if(r.trace_id = '', repeat('0', 32), r.trace_id))),
            reverse(unhex(if(r.span_id = '', repeat('0', 16), r.span_id))),
            reinterpretAsFixedString(toUInt32(resource)),
            reinterpretAsFixedString(r.timeout_s),
            reinterpretAsFixedString(r.ledger),
            reinterpretAsFixedString(r.code),
            reinterpretAsFixedString(r.flags),
            char(transform(
                r.event_type,
                ['single_phase', 'two_phase_pending', 'two_phase_posted', 'two_phase_voided',
                    'two_phase_expired'],
                [0, 1, 2, 3, 4],
                255))) AS bytes,
        toUInt16(r.amount < 0 OR r.amount > toInt256('340282366920938463463374607431768211455'))
        + 2 * (r.status != transform(
            r.event_type,
            ['two_phase_pending', 'two_phase_voided', 'two_phase_expired'],
            ['pending', 'voided', 'expired'],
            'posted'))
        + 4 * if(is_expiry,
            keys != ['hold_timestamp_ns'] OR texts != [toString(hold_ns)],
            notEmpty(keys))
        + 8 * (NOT match(r.trace_id, '^([0-9a-f]{32})?$') OR r.trace_id = repeat('0', 32))
        + 16 * (NOT match(r.span_id, '^([0-9a-f]{16})?$') OR r.span_id = repeat('0', 16))
        + 32 * if(is_expiry,
            ifNull(r.pending_id, no_uuid) != r.transaction_id,
            ifNull(r.pending_id = no_uuid, 0))
        + 64 * (r.resource_id != if(resource = 0, '', toString(bitAnd(resource, 16777215))))
        + 128 * (r.chart_version NOT IN (SELECT c.version FROM masques_ops.chart_entries AS c))
        + 256 * if(
            (r.chart_version, r.ledger) IN (
                SELECT c.version, c.code FROM masques_ops.chart_entries AS c
                WHERE c.kind = 'ledger'),
            (r.chart_version, r.ledger, currency) NOT IN (
                SELECT c.version, c.code, c.name FROM masques_ops.chart_entries AS c
                WHERE c.kind = 'ledger'),
            currency != concat('ledger_', toString(r.ledger)))
        + 512 * if(
            (r.chart_version, r.code) IN (
                SELECT c.version, c.code FROM masques_ops.chart_entries AS c
                WHERE c.kind = 'transfer_code'),
            (r.chart_version, r.code, transaction_type) NOT IN (
                SELECT c.version, c.code, c.name FROM masques_ops.chart_entries AS c
                WHERE c.kind = 'transfer_code'),
            transaction_type != concat('code_', toString(r.code)))
        + 1024 * multiIf(
            resource = 0, resource_type != '',
            (r.chart_version, r.resource_code) IN (
                SELECT c.version, c.code FROM masques_ops.chart_entries AS c
                WHERE c.kind = 'resource_type'),
            (r.chart_version, r.resource_code, resource_type) NOT IN (
                SELECT c.version, c.code, c.name FROM masques_ops.chart_entries AS c
                WHERE c.kind = 'resource_type'),
            resource_type != concat('type_', toString(r.resource_code))) AS odd
    FROM (SELECT *, 1 AS one FROM masques_ops.raw_events) AS r
    ASOF JOIN
    (
        SELECT 1 AS one, arrayJoin({ends:Array(UInt64)}) AS until_ns
    ) AS s ON s.one = r.one AND r.at_ns <= s.until_ns
    WHERE r.timestamp > fromUnixTimestamp64Nano({from_ns:Int64}, 'UTC')
        AND r.timestamp <= fromUnixTimestamp64Nano({to_ns:Int64}, 'UTC')
) AS e
GROUP BY sealed_to
ORDER BY sealed_to
