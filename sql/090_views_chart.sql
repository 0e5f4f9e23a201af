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
    scale UInt8 COMMENT 'decimal places: 1 whole unit is 10^scale raw units',
    rail_assets Array(String) COMMENT 'assets of rails that are booked 1:1 in it, sorted; others are another currency',
    hold_days_max UInt16 COMMENT 'days that a hold without a timeout may stay open'
)
AS
SELECT
    code AS ledger,
    any(name) AS asset,
    any(scale) AS scale,
    any(rail_assets) AS rail_assets,
    any(hold_days_max) AS hold_days_max
FROM masques_ops.chart_entries
WHERE kind = 'ledger' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code
COMMENT 'The ledgers of the chart in force: asset and scale by ledger number.';

CREATE OR REPLACE VIEW masques_ops.chart_account_codes
(
    code UInt16 COMMENT 'account code in TigerBeetle',
    account_type String COMMENT 'meaning of the code: treasury, prepaid, author and so on',
    is_rail_side UInt8 COMMENT '1 when such an account is the platform''s own side of payments on a rail'
)
AS
SELECT toUInt16(code) AS code, any(name) AS account_type, any(is_rail_side) AS is_rail_side
FROM masques_ops.chart_entries
WHERE kind = 'account_code' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY code
COMMENT 'The account codes of the chart in force.';

CREATE OR REPLACE VIEW masques_ops.chart_transfer_codes
(
    code UInt16 COMMENT 'transfer code in TigerBeetle',
    transaction_type String COMMENT 'meaning of the code: deposit, api_call, fee and so on',
    needs String COMMENT 'what must be told of such a transfer beside the ledger: request, session, settlement or nothing; empty when the chart does not say',
    within_s UInt32 COMMENT 'seconds after the transfer within which that, or a settlement of its rail side, must be told'
)
AS
SELECT
    toUInt16(code) AS code,
    any(name) AS transaction_type,
    any(needs) AS needs,
    any(within_s) AS within_s
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

CREATE OR REPLACE VIEW masques_ops.chart_facilitators
(
    address String COMMENT 'address of a chain, EVM addresses in lower case',
    facilitator String COMMENT 'name of the facilitator',
    role LowCardinality(String) COMMENT 'facilitator: it sends transactions; facilitator_account: its fees are paid to it'
)
AS
SELECT address, any(name) AS facilitator, role
FROM
(
    SELECT arrayJoin(addresses) AS address, name, toString(kind) AS role
    FROM masques_ops.chart_entries
    WHERE kind IN ('facilitator', 'facilitator_account')
        AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
)
GROUP BY address, role
COMMENT 'The addresses of facilitators, by the chart in force.';

-- The fees of each facilitator in the order of their days: the last one that is not later than a payment
-- is the one of that payment.
CREATE OR REPLACE VIEW masques_ops.chart_facilitator_fees
(
    facilitator String COMMENT 'name of the facilitator',
    fees Array(Tuple(fee_from Date, asset String, flat Decimal(76, 18), basis_points Decimal(18, 4), free_per_month UInt32))
        COMMENT 'first day, asset, fee of each payment, hundredths of a percent of the amount, and free payments of a month; by day'
)
AS
SELECT
    facilitator,
    arraySort(each -> each.1, groupUniqArray(fee)) AS fees
FROM
(
    SELECT
        name AS facilitator,
        CAST(tuple(fee_from, toString(fee_asset), fee_flat, fee_basis_points, fee_free_per_month),
            'Tuple(fee_from Date, asset String, flat Decimal(76, 18), basis_points Decimal(18, 4), free_per_month UInt32)')
            AS fee
    FROM masques_ops.chart_entries
    WHERE kind = 'facilitator_fee' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
)
GROUP BY facilitator
COMMENT 'What facilitators charge and from when, by the chart in force. One row per facilitator.';

CREATE OR REPLACE VIEW masques_ops.chart_facilitator_statements
(
    facilitator String COMMENT 'name of the facilitator',
    month Date COMMENT 'first day of the month',
    fee_asset LowCardinality(String) COMMENT 'what the statement is in',
    charged Decimal(76, 18) COMMENT 'what it charged, in whole units'
)
AS
SELECT name AS facilitator, fee_from AS month, toString(fee_asset) AS fee_asset, any(fee_charged) AS charged
FROM masques_ops.chart_entries
WHERE kind = 'facilitator_statement' AND version IN (SELECT max(version) FROM masques_ops.chart_entries)
GROUP BY facilitator, month, fee_asset
COMMENT 'What statements of facilitators charged, by month and asset, by the chart in force.';

-- A verdict is made again under the chart of its time by the version that was recorded with it.
CREATE OR REPLACE VIEW masques_ops.chart_at AS
SELECT
    version,
    kind,
    code,
    any(name) AS name,
    any(scale) AS scale,
    any(needs) AS needs,
    any(within_s) AS within_s,
    any(is_rail_side) AS is_rail_side,
    any(rail_assets) AS rail_assets,
    any(hold_days_max) AS hold_days_max
FROM masques_ops.chart_entries
WHERE version IN
(
    SELECT max(version) FROM masques_ops.chart_entries WHERE version <= {version:UInt64}
)
GROUP BY version, kind, code
COMMENT 'The chart that was in force at a time, or of a version. Parameters: version - nanoseconds since 1970. Columns: version .. hold_days_max - as in masques_ops.chart_entries.';
