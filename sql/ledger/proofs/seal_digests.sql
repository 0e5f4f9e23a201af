-- The digest of the rows that lie in each sealed range, from the bytes that the ledger sent: the same
-- form as EVENT_DTYPE in masques_pipelines/ledger/records.py. Ranges are given by their ends.
WITH
    (
        SELECT (arrayPushBack(groupUniqArray((c.name, c.code)), ('', 0)))
        FROM masques_ops.chart_entries AS c
        WHERE c.kind = 'resource_type'
    ) AS named_types,
    arrayMap(entry -> entry.1, named_types) AS type_names,
    arrayMap(entry -> entry.2, named_types) AS type_codes
SELECT
    sealed_to,
    count() AS events,
    lower(hex(SHA256(arrayStringConcat(
        arrayMap(pair -> pair.2, arraySort(groupArray((e.at_ns, bytes))))))))
        AS events_digest
FROM
(
    SELECT
        r.at_ns AS at_ns,
        s.until_ns AS sealed_to,
        concat(
            reinterpretAsFixedString(r.at_ns),
            reinterpretAsFixedString(
                if(r.event_type = 'two_phase_expired',
                    toUInt64OrZero(r.attributes['hold_timestamp_ns']), r.at_ns)),
            reinterpretAsFixedString(toUInt128(r.transaction_id)),
            reinterpretAsFixedString(toUInt128(r.debit_account_id)),
            reinterpretAsFixedString(toUInt128(r.credit_account_id)),
            reinterpretAsFixedString(toUInt128(r.amount)),
            reinterpretAsFixedString(toUInt128(
                if(r.event_type = 'two_phase_expired' OR r.pending_id IS NULL,
                    toUUID('00000000-0000-0000-0000-000000000000'), assumeNotNull(r.pending_id)))),
            reverse(unhex(if(r.trace_id = '', repeat('0', 32), r.trace_id))),
            reverse(unhex(if(r.span_id = '', repeat('0', 16), r.span_id))),
            reinterpretAsFixedString(toUInt32(
                if(r.resource_id = '', 0,
                    toUInt32OrZero(r.resource_id)
                    + 16777216 * if(startsWith(r.resource_type, 'type_'),
                        toUInt32OrZero(substring(r.resource_type, 6)),
                        transform(r.resource_type, type_names, type_codes, 0))))),
            reinterpretAsFixedString(r.timeout_s),
            reinterpretAsFixedString(r.ledger),
            reinterpretAsFixedString(r.code),
            reinterpretAsFixedString(r.flags),
            char(transform(
                r.event_type,
                ['single_phase', 'two_phase_pending', 'two_phase_posted', 'two_phase_voided',
                    'two_phase_expired'],
                [0, 1, 2, 3, 4],
                255))) AS bytes
    FROM (SELECT *, 1 AS one FROM masques_ops.raw_events) AS r
    ASOF JOIN
    (
        SELECT 1 AS one, arrayJoin({ends:Array(UInt64)}) AS until_ns
    ) AS s ON s.one = r.one AND r.at_ns <= s.until_ns
    WHERE r.timestamp > fromUnixTimestamp64Nano(toInt64({from_ns:UInt64}), 'UTC')
        AND r.timestamp <= fromUnixTimestamp64Nano(toInt64({to_ns:UInt64}), 'UTC')
) AS e
GROUP BY sealed_to
ORDER BY sealed_to
