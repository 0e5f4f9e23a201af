-- What the chart says of matching: which other record a transfer needs and how soon, which accounts
-- are on a rail, which assets of rails are booked 1:1 in a ledger, how long a hold may stay open.
--
-- In the chart's own rows, so that a chart is still one insert, and a verdict can be made again under
-- the chart of its time. The defaults are those of a chart that says nothing of it, and hold for the
-- charts that were loaded before this file.

ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS needs LowCardinality(String)
    COMMENT 'of a transfer code: what must be told of such a transfer beside the ledger: request, session, settlement or nothing; empty when the chart does not say';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS within_s UInt32 DEFAULT if(kind = 'transfer_code', 86400, 0)
    COMMENT 'of a transfer code: seconds after the transfer within which that, or a settlement of its rail side, must be told';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS is_rail_side UInt8 DEFAULT kind = 'account_code' AND name = 'treasury'
    COMMENT 'of an account code: 1 when such an account is the platform''s own side of payments on a rail';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS rail_assets Array(String) DEFAULT if(kind = 'ledger', [name], [])
    COMMENT 'of a ledger: assets of rails that are booked 1:1 in it, sorted; others are another currency';
ALTER TABLE masques_ops.chart_entries
    ADD COLUMN IF NOT EXISTS hold_days_max UInt16 DEFAULT if(kind = 'ledger', 1, 0)
    COMMENT 'of a ledger: days that a hold without a timeout may stay open';
