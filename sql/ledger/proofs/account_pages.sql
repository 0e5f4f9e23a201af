-- Pages of the newest reading whose accounts are not in the table as the ledger showed them. The digest is
-- that of masques_pipelines/ledger/account_digest.py: each word of an account is mixed into one number.
--
-- Rows that are newer than the reading are of one that is on its way: its pages are left out.
WITH
    (
        SELECT (arrayPushBack(groupArray(l.ledger), 0), arrayPushBack(groupArray(l.scale), 0),
            arrayPushBack(groupArray(l.asset), ''))
        FROM masques_ops.chart_ledgers AS l
    ) AS ledgers,
    (
        SELECT (arrayPushBack(groupArray(c.code), 0), arrayPushBack(groupArray(c.account_type), ''))
        FROM masques_ops.chart_account_codes AS c
    ) AS codes,
    (
        SELECT argMax((r.read_id, r.recorded_at), (r.snapshot_at_ns, r.recorded_at))
        FROM masques_ops.account_reads AS r
        WHERE r.is_last
    ) AS newest,
    toInt256('340282366920938463463374607431768211455') AS most
SELECT
    page_number AS page,
    max(from_ns) AS created_from_ns,
    sum(read) AS accounts_read,
    sum(rows_there) AS accounts_there,
    sum(rows_odd) AS accounts_odd,
    sum(rows_of_other_words) AS accounts_of_other_words,
    sum(read_digest) != sum(digest_there) OR accounts_read != accounts_there AS is_changed
FROM
(
    SELECT
        r.page AS page_number, r.created_from_ns AS from_ns, r.accounts AS read,
        r.content_digest AS read_digest, 0 AS rows_there, toUInt64(0) AS digest_there, 0 AS rows_odd,
        0 AS rows_of_other_words, 0 AS rows_newer
    FROM masques_ops.account_reads AS r FINAL
    WHERE r.read_id = newest.1
    UNION ALL
    SELECT
        page_number, 0, 0, 0, count(), sum(digest), countIf(is_odd), countIf(is_of_other_words),
        countIf(is_newer)
    FROM
    (
        WITH
            toInt256(intExp10(18 - if(
                startsWith(a.currency, 'ledger_'), 0, transform(a.ledger, ledgers.1, ledgers.2, 0))))
                AS unit,
            [reinterpret(a.debits_pending, 'Int256'), reinterpret(a.debits_posted, 'Int256'),
                reinterpret(a.credits_pending, 'Int256'), reinterpret(a.credits_posted, 'Int256')]
                AS scaled,
            arrayMap(amount -> intDiv(amount, unit), scaled) AS raw,
            [toUInt128(a.account_id), toUInt128(a.identity_id), toUInt128(raw[1]),
                toUInt128(raw[2]), toUInt128(raw[3]), toUInt128(raw[4])] AS wide,
            arrayConcat(
                [
                    bitOr(bitOr(toUInt64(a.ledger), bitShiftLeft(toUInt64(a.code), 32)),
                        bitShiftLeft(toUInt64(a.flags), 48)),
                    a.created_ns],
                arrayFlatten(arrayMap(
                    word -> [toUInt64(bitAnd(word, toUInt128('18446744073709551615'))),
                        toUInt64(bitShiftRight(word, 64))],
                    wide))) AS words
        SELECT
            pages.page AS page_number,
            arrayFold(
                (mixed, word) -> bitXor(
                    bitXor(bitXor(mixed, word), bitShiftRight(bitXor(mixed, word), 32))
                        * toUInt64(11400714819323198485),
                    bitShiftRight(
                        bitXor(bitXor(mixed, word), bitShiftRight(bitXor(mixed, word), 32))
                            * toUInt64(11400714819323198485),
                        29)),
                words,
                toUInt64(0)) AS digest,
            arrayExists(amount -> amount % unit != 0, scaled)
                OR arrayExists(amount -> amount < 0 OR amount > most, raw)
                OR a.balance != a.credits_posted - a.debits_posted
                OR (a.snapshot_ns > pages.snapshot_at_ns AND NOT is_newer) AS is_odd,
            a.currency != if(has(ledgers.1, a.ledger) AND a.ledger != 0,
                transform(a.ledger, ledgers.1, ledgers.3, ''),
                concat('ledger_', toString(a.ledger)))
                OR a.account_type != if(has(codes.1, a.code) AND a.code != 0,
                    transform(a.code, codes.1, codes.2, ''),
                    concat('code_', toString(a.code))) AS is_of_other_words,
            a.snapshot_ns > pages.snapshot_at_ns AND a.ingested_at > newest.2 AS is_newer
        FROM
        (
            SELECT
                account_id, identity_id, currency, account_type, ledger, code, flags,
                debits_pending, debits_posted, credits_pending, credits_posted, balance, ingested_at,
                1 AS one, toUInt64(toUnixTimestamp64Nano(created_at)) AS created_ns,
                toUInt64(toUnixTimestamp64Nano(snapshot_at)) AS snapshot_ns
            FROM masques.accounts FINAL
        ) AS a
        ASOF LEFT JOIN
        (
            SELECT 1 AS one, r.page AS page, r.created_from_ns AS created_from_ns,
                r.snapshot_at_ns AS snapshot_at_ns
            FROM masques_ops.account_reads AS r FINAL
            WHERE r.read_id = newest.1
        ) AS pages ON pages.one = a.one AND a.created_ns >= pages.created_from_ns
    )
    GROUP BY page_number
)
GROUP BY page_number
HAVING (is_changed OR accounts_odd > 0 OR accounts_of_other_words > 0) AND sum(rows_newer) = 0
    AND (SELECT min(r.content_digest) FROM masques_ops.account_reads AS r WHERE r.read_id = newest.1) > 0
ORDER BY page_number
LIMIT 1000
