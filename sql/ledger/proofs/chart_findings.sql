-- Numbers that the chart does not know, and rows that were written before it knew them.
WITH
    (SELECT groupArray(ledger) FROM masques_ops.chart_ledgers) AS ledgers,
    (SELECT groupArray(code) FROM masques_ops.chart_transfer_codes) AS transfer_codes,
    (SELECT groupArray(code) FROM masques_ops.chart_account_codes) AS account_codes,
    (SELECT groupArray(code) FROM masques_ops.chart_resource_types) AS resource_types
SELECT table_name, name, is_known_now, sum(rows) AS affected
FROM
(
    SELECT 'transactions' AS table_name, toString(currency) AS name,
        has(ledgers, ledger) AS is_known_now, count() AS rows
    FROM masques.transactions
    WHERE startsWith(currency, 'ledger_')
    GROUP BY currency, ledger
    UNION ALL
    SELECT 'transactions', toString(transaction_type), has(transfer_codes, code), count()
    FROM masques.transactions
    WHERE startsWith(transaction_type, 'code_')
    GROUP BY transaction_type, code
    UNION ALL
    SELECT 'transactions', toString(resource_type),
        has(resource_types, toUInt8OrZero(substring(resource_type, 6))), count()
    FROM masques.transactions
    WHERE startsWith(resource_type, 'type_')
    GROUP BY resource_type
    UNION ALL
    SELECT 'accounts', toString(currency), has(ledgers, ledger), count()
    FROM masques.accounts FINAL
    WHERE startsWith(currency, 'ledger_')
    GROUP BY currency, ledger
    UNION ALL
    SELECT 'accounts', toString(account_type), has(account_codes, code), count()
    FROM masques.accounts FINAL
    WHERE startsWith(account_type, 'code_')
    GROUP BY account_type, code
)
GROUP BY table_name, name, is_known_now
ORDER BY is_known_now DESC, table_name, name
