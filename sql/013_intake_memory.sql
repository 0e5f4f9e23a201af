-- The batch at hand lives in memory: it is read by the statements of one batch only, and writing it
-- to disk took a third of the time of loading. What a restart forgets, the intake notices by its
-- counts, and the next run reads the files again. There are two tables for each kind of row: one
-- batch is typed while the one before it is published.
CREATE OR REPLACE TABLE masques_ops.api_requests_staged
AS masques_ops.api_requests_staged ENGINE = Memory;
CREATE TABLE IF NOT EXISTS masques_ops.api_requests_staged_next
AS masques_ops.api_requests_staged ENGINE = Memory;

CREATE OR REPLACE TABLE masques_ops.reputation_events_staged
AS masques_ops.reputation_events_staged ENGINE = Memory;
CREATE TABLE IF NOT EXISTS masques_ops.reputation_events_staged_next
AS masques_ops.reputation_events_staged ENGINE = Memory;

CREATE OR REPLACE TABLE masques_ops.masque_sessions_staged
AS masques_ops.masque_sessions_staged ENGINE = Memory;
CREATE TABLE IF NOT EXISTS masques_ops.masque_sessions_staged_next
AS masques_ops.masque_sessions_staged ENGINE = Memory;

CREATE OR REPLACE TABLE masques_ops.identities_staged
AS masques_ops.identities_staged ENGINE = Memory;
CREATE TABLE IF NOT EXISTS masques_ops.identities_staged_next
AS masques_ops.identities_staged ENGINE = Memory;

CREATE OR REPLACE TABLE masques_ops.intake_known
AS masques_ops.intake_known ENGINE = Memory;

-- A row may be there twice, when a statement was sent twice: read it with DISTINCT.
CREATE OR REPLACE TABLE masques_ops.intake_repeats
AS masques_ops.intake_repeats ENGINE = Memory;
