-- Words of rows that are not what the chart in force gives their number: the chart does not know the
-- number, or learned or renamed it after the rows were written.
WITH
    (
        SELECT (arrayPushBack(groupArray(ledger), 0), arrayPushBack(groupArray(asset), ''))
        FROM masques_ops.chart_ledgers
    ) AS ledgers,
    (
        SELECT (arrayPushBack(groupArray(code), 0), arrayPushBack(groupArray(transaction_type), ''))
        FROM masques_ops.chart_transfer_codes
    ) AS transfer_codes,
    (
        SELECT (arrayPushBack(groupArray(code), 0), arrayPushBack(groupArray(resource_type), ''))
        FROM masques_ops.chart_resource_types
    ) AS resource_types,
    (
        SELECT (arrayPushBack(groupArray(code), 0), arrayPushBack(groupArray(account_type), ''))
        FROM masques_ops.chart_account_codes
    ) AS account_codes
SELECT table_name, kind, number, name, name_now, sum(rows) AS affected
FROM
(
    SELECT
        'transactions' AS table_name, word.1 AS kind, word.2 AS number, word.3 AS name,
        word.4 AS name_now, rows
    FROM
    (
        SELECT ledger, code, resource_code, currency, transaction_type, resource_type,
            count() AS rows
        FROM masques.transactions
        GROUP BY ledger, code, resource_code, currency, transaction_type, resource_type
    )
    ARRAY JOIN [
        ('ledger', ledger, toString(currency),
            transform(ledger, ledgers.1, ledgers.2, '')),
        ('transfer code', toUInt32(code), toString(transaction_type),
            transform(code, transfer_codes.1, transfer_codes.2, '')),
        ('resource type', toUInt32(resource_code), toString(resource_type),
            transform(resource_code, resource_types.1, resource_types.2, ''))] AS word
    UNION ALL
    SELECT 'accounts', word.1, word.2, word.3, word.4, rows
    FROM
    (
        SELECT ledger, code, currency, account_type, count() AS rows
        FROM masques.accounts FINAL
        GROUP BY ledger, code, currency, account_type
    )
    ARRAY JOIN [
        ('ledger', ledger, toString(currency), transform(ledger, ledgers.1, ledgers.2, '')),
        ('account code', toUInt32(code), toString(account_type),
            transform(code, account_codes.1, account_codes.2, ''))] AS word
)
WHERE name != '' AND name != name_now
GROUP BY table_name, kind, number, name, name_now
ORDER BY name_now = '', table_name, name
