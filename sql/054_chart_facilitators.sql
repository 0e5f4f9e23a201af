-- What the chart says of facilitators: the addresses that send their transactions, those that we pay
-- them at, their fees from a day on, and what their statements charged in a month. In the chart's own
-- rows, as everything else of it: see 020_ledger_chart.sql.

ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS addresses Array(String)
    COMMENT 'of a facilitator: the addresses that send its transactions; of a facilitator_account: those that its fees are paid to; sorted';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS fee_from Date
    COMMENT 'of a facilitator_fee: first day that it holds for; of a facilitator_statement: first day of its month';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS fee_asset LowCardinality(String)
    COMMENT 'of a facilitator_fee or facilitator_statement: what the fee is in';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS fee_flat Decimal(76, 18)
    COMMENT 'of a facilitator_fee: for each payment, in whole units of fee_asset';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS fee_basis_points Decimal(18, 4)
    COMMENT 'of a facilitator_fee: hundredths of a percent of the amount';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS fee_free_per_month UInt32
    COMMENT 'of a facilitator_fee: payments of a calendar month (UTC) that cost nothing';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS fee_charged Decimal(76, 18)
    COMMENT 'of a facilitator_statement: what it charged, in whole units of fee_asset';

ALTER TABLE masques_ops.chart_entries
    COMMENT COLUMN kind 'ledger, account_code, transfer_code, resource_type, facilitator, facilitator_account, facilitator_fee or facilitator_statement';
ALTER TABLE masques_ops.chart_entries
    COMMENT COLUMN code 'the number in the ledger: of a ledger, an account code, a transfer code or a resource type; of what is said of facilitators a running number';
