-- What the pipeline's own checks found, each with what names it: how, what, and which one. Of payments
-- after {breaks_to} no breaks: what ends them, as a refund, may be still to come.
SELECT
    'quarantine' AS by,
    toString(reason) AS name,
    -- A file of the journal is named with its version.
    concat(replaceRegexpOne(source, '@[0-9a-f]+$', ''), ':', toString(line_no)) AS reference
FROM masques_ops.quarantine FINAL
WHERE state = 'open'
UNION ALL
SELECT 'file', if(state = 'same', 'same', concat('passed_over:', splitByChar(':', problem)[1])), path
FROM masques_ops.intake_files FINAL
WHERE state IN ('same', 'passed_over')
UNION ALL
SELECT 'file', 'duplicates', path
FROM masques_ops.intake_files FINAL
WHERE duplicates > 0 AND state = 'loaded'
UNION ALL
SELECT 'intake', finding, toString(id)
FROM masques_marts.intake_findings
UNION ALL
SELECT 'rails', toString(kind), toString(settlement_id)
FROM masques_ops.settlement_findings FINAL
UNION ALL
SELECT 'settlement', toString(status), attributes['facilitator_transaction']
FROM masques_marts.settlements_current
WHERE status = 'not_followed'
UNION ALL
SELECT 'balance', toString(state), toString(rail)
FROM masques_marts.chain_balances
WHERE state = 'differs'
UNION ALL
SELECT 'break', class, toString(item_id)
FROM masques_marts.breaks
WHERE at <= fromUnixTimestamp64Nano({breaks_to:Int64})
