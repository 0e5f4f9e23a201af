-- Four roles for a ClickHouse server, each with no more than it needs. Run it once as an administrator,
-- after 001 has made the databases, and give each user one role: GRANT masques_writer TO pipeline;
--
-- masques_migrator  runs `masques migrate`, `backup` and `restore`. It owns the views: those of masques_marts read
--                   masques_ops in its name, and the scores are refreshed in its name. Dropping this user
--                   breaks both.
-- masques_writer    runs the schedules and every other command.
-- masques_operator  reads as the reader does, and writes notes of breaks: `masques breaks ack`, `explain`, `write-off`.
-- masques_reader    asks the marts and the eight tables; it sees nothing of masques_ops.
--
-- `masques migrate` makes tables and views and fills seed rows.
CREATE ROLE IF NOT EXISTS masques_migrator;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW ON masques.* TO masques_migrator;
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW ON masques_ops.* TO masques_migrator;
GRANT CREATE DATABASE, CREATE VIEW, DROP VIEW ON masques_marts.* TO masques_migrator;
GRANT SELECT, INSERT, ALTER, TRUNCATE ON masques.* TO masques_migrator;
GRANT SELECT, INSERT, ALTER, TRUNCATE ON masques_ops.* TO masques_migrator;
GRANT SELECT ON masques_marts.* TO masques_migrator;
GRANT SYSTEM VIEWS ON masques.* TO masques_migrator;
GRANT BACKUP ON masques.* TO masques_migrator;
GRANT BACKUP ON masques_ops.* TO masques_migrator;
GRANT BACKUP ON masques_marts.* TO masques_migrator;
GRANT READ, WRITE ON DISK TO masques_migrator;
GRANT SELECT ON system.backups TO masques_migrator;
GRANT SELECT ON system.tables TO masques_migrator;
GRANT SELECT ON system.columns TO masques_migrator;
GRANT SELECT ON system.databases TO masques_migrator;
GRANT SELECT ON system.clusters TO masques_migrator;
GRANT SELECT ON system.data_skipping_indices TO masques_migrator;
GRANT SELECT ON system.view_refreshes TO masques_migrator;

-- Leases are tables of masques_ops, made and dropped. TRUNCATE empties what is staged.
CREATE ROLE IF NOT EXISTS masques_writer;
GRANT SELECT, INSERT ON masques.* TO masques_writer;
GRANT SELECT, INSERT, TRUNCATE, CREATE TABLE, DROP TABLE ON masques_ops.* TO masques_writer;
GRANT SELECT ON masques_marts.* TO masques_writer;
-- The files of the tables are read by their checksums.
GRANT CHECK ON masques.* TO masques_writer;
GRANT CHECK ON masques_ops.* TO masques_writer;
-- Checkpoints are dropped by partition; `masques ledger rebuild` replaces a month, or all accounts.
GRANT ALTER DELETE ON masques_ops.* TO masques_writer;
GRANT ALTER DELETE ON masques.transactions TO masques_writer;
GRANT ALTER DELETE ON masques.accounts TO masques_writer;
-- `masques intake reload --table` swaps months whose content is not what was written.
GRANT ALTER DELETE ON masques.identities TO masques_writer;
GRANT ALTER DELETE ON masques.masque_sessions TO masques_writer;
GRANT ALTER DELETE ON masques.api_requests TO masques_writer;
GRANT ALTER DELETE ON masques.reputation_events TO masques_writer;
-- The scores' view is asked to refresh; what a killed refresh left behind is dropped.
GRANT SYSTEM VIEWS ON masques.reputation_scores_mv TO masques_writer;
GRANT DROP TABLE ON masques.`.tmp`* TO masques_writer;
GRANT SELECT ON system.tables TO masques_writer;
GRANT SELECT ON system.columns TO masques_writer;
GRANT SELECT ON system.databases TO masques_writer;
GRANT SELECT ON system.parts TO masques_writer;
GRANT SELECT ON system.data_skipping_indices TO masques_writer;
GRANT SELECT ON system.view_refreshes TO masques_writer;

CREATE ROLE IF NOT EXISTS masques_operator;
GRANT SELECT ON masques.* TO masques_operator;
GRANT SELECT ON masques_marts.* TO masques_operator;
GRANT SELECT, INSERT ON masques_ops.break_notes TO masques_operator;
-- Notes are written one at a time and counted as they are.
GRANT CREATE TABLE, DROP TABLE ON masques_ops.lease_notes* TO masques_operator;
GRANT SELECT ON masques_ops.inventory_of_break_notes TO masques_operator;
GRANT SELECT, INSERT ON masques_ops.inventory TO masques_operator;
GRANT SELECT, INSERT ON masques_ops.inventory_writes TO masques_operator;
-- Whose warehouse this is, and whether a migration is due.
GRANT SELECT ON masques_ops.warehouse_stamp TO masques_operator;
GRANT SELECT ON masques_ops.schema_migrations TO masques_operator;
GRANT SELECT ON system.tables TO masques_operator;

CREATE ROLE IF NOT EXISTS masques_reader;
GRANT SELECT ON masques.* TO masques_reader;
GRANT SELECT ON masques_marts.* TO masques_reader;
