-- The chart in force, by kind.
--
-- Files from 090 on hold views: each is defined here once and edited in place. `masques migrate` applies
-- all of them again, in order, when one of them changed or a numbered file was applied, since ClickHouse
-- fixes the column types of a view when it is made (docs/clickhouse.md).

-- An insert may be sent twice, so each view takes one row of a code.
CREATE OR REPLACE VIEW masques_ops.chart_ledgers
(
    ledger UInt32 COMMENT 'number of the ledger in TigerBeetle',
    asset String COMMENT 'asset that the ledger counts: USD, BTC, SOL and so on',
    scale UInt8 COMMENT 'decimal places: 1 whole unit is 10^scale raw units'
)
AS
SELECT code AS ledger, any(name) AS asset, any(scale) AS scale
FROM masques_ops.chart_entries
WHERE kind = 'ledger' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code
COMMENT 'The ledgers of the chart in force: asset and scale by ledger number.';

CREATE OR REPLACE VIEW masques_ops.chart_account_codes
(
    code UInt16 COMMENT 'account code in TigerBeetle',
    account_type String COMMENT 'meaning of the code: treasury, prepaid, author and so on'
)
AS
SELECT toUInt16(code) AS code, any(name) AS account_type
FROM masques_ops.chart_entries
WHERE kind = 'account_code' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code
COMMENT 'The account codes of the chart in force.';

CREATE OR REPLACE VIEW masques_ops.chart_transfer_codes
(
    code UInt16 COMMENT 'transfer code in TigerBeetle',
    transaction_type String COMMENT 'meaning of the code: deposit, api_call, fee and so on'
)
AS
SELECT toUInt16(code) AS code, any(name) AS transaction_type
FROM masques_ops.chart_entries
WHERE kind = 'transfer_code' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code
COMMENT 'The transfer codes of the chart in force.';

CREATE OR REPLACE VIEW masques_ops.chart_resource_types
(
    code UInt8 COMMENT 'upper 8 bits of user_data_32 in TigerBeetle',
    resource_type String COMMENT 'meaning of the code: masque, mcp_tool, api and so on'
)
AS
SELECT toUInt8(code) AS code, any(name) AS resource_type
FROM masques_ops.chart_entries
WHERE kind = 'resource_type' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code
COMMENT 'The resource types of the chart in force.';
