-- The file log says more: which file a run began to read, and what was passed over.
--
-- A file is written down as begun before it is read. One that two runs began and none finished (it
-- killed the process) is set aside by the third. What is in the landing zone and is not read is here
-- too, with the reason.

ALTER TABLE masques_ops.intake_files
    ADD COLUMN IF NOT EXISTS begun UInt32
    COMMENT 'how many runs in a row began to read the file and did not finish; 0 once one has'
    AFTER attempts;

ALTER TABLE masques_ops.intake_files
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String)
    COMMENT 'who delivered the file: see masques_ops.landing_channels; empty when that is not known'
    AFTER source;

ALTER TABLE masques_ops.intake_files COMMENT COLUMN state
    'loaded; same as another file; failed (in quarantine); begun; due (to be read again); passed_over; gone (passed over before, not there any more)';
ALTER TABLE masques_ops.intake_files COMMENT COLUMN problem
    'why it failed or was passed over, which file it is the same as, or that it was rewritten in place';
ALTER TABLE masques_ops.intake_files COMMENT COLUMN version
    'size and times, or the store''s own tag: another one is another file; empty for what is passed over';
