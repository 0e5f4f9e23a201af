-- What people say of breaks. Nothing is corrected by it: a note quiets the alert, never the total.
CREATE TABLE IF NOT EXISTS masques_ops.break_notes
(
    item_id UUID COMMENT 'the payment: item_id of masques_marts.payments',
    leg LowCardinality(String) COMMENT 'gate or rail',
    state LowCardinality(String) COMMENT 'acknowledged, explained or written_off',
    class LowCardinality(String) COMMENT 'class of the break when it was said: of another class the note says nothing',
    at_risk Decimal(76, 18) COMMENT 'money at risk when it was said: of more money the note says nothing',
    note String COMMENT 'why, in words',
    said_by String COMMENT 'who said it',
    said_at DateTime64(6, 'UTC') COMMENT 'when; the latest of a break counts'
)
ENGINE = /*cluster:Replicated*/ReplacingMergeTree
ORDER BY (item_id, leg, said_at)
COMMENT 'What people said of breaks: acknowledged, explained or written off, by whom and why. One row per note, never changed. See masques breaks.';
