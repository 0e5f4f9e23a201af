-- The chart in force, by kind.
--
-- Files from 090 on hold views: each is defined here once and edited in place. `masques migrate` applies
-- all of them again, in order, when one of them changed or a numbered file was applied, since ClickHouse
-- fixes the column types of a view when it is made (docs/clickhouse.md).

-- An insert may be sent twice, so each view takes one row of a code.
CREATE OR REPLACE VIEW masques_ops.chart_ledgers AS
SELECT code AS ledger, any(name) AS asset, any(scale) AS scale
FROM masques_ops.chart_entries
WHERE kind = 'ledger' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;

CREATE OR REPLACE VIEW masques_ops.chart_account_codes AS
SELECT toUInt16(code) AS code, any(name) AS account_type
FROM masques_ops.chart_entries
WHERE kind = 'account_code' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;

CREATE OR REPLACE VIEW masques_ops.chart_transfer_codes AS
SELECT toUInt16(code) AS code, any(name) AS transaction_type
FROM masques_ops.chart_entries
WHERE kind = 'transfer_code' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;

CREATE OR REPLACE VIEW masques_ops.chart_resource_types AS
SELECT toUInt8(code) AS code, any(name) AS resource_type
FROM masques_ops.chart_entries
WHERE kind = 'resource_type' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code;
