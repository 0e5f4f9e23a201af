-- The sync writes masques.transactions by sql/transforms/ledger/write_transactions.sql. A re-run
-- changes nothing.
--
-- Before, it sent the ledger's records of 384 bytes to an inlet, whose view joined them with the
-- chart. Two thirds of those bytes are the accounts beside a transfer, which no column keeps, and a
-- third of each insert's time went into planning the view (42 of 126 ms for 65,520 events; one
-- statement with the chart as parameters takes 88 ms). It is also one text for the sync and for
-- `masques ledger rebuild`, and it may hold scalar subqueries, which a view must not.
DROP VIEW IF EXISTS masques_ops.transactions_from_change_events;

DROP TABLE IF EXISTS masques_ops.change_events_inlet;

DROP VIEW IF EXISTS masques_ops.transactions_from_rebuild;

DROP TABLE IF EXISTS masques_ops.rebuild_inlet;
