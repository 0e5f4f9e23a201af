-- Names the Machine Payments Protocol where a protocol is described.
ALTER TABLE masques.settlements COMMENT COLUMN protocol
    'x402, l402, mpp (Machine Payments Protocol), or empty when no line of the journal names the payment';
ALTER TABLE masques_ops.journal_events COMMENT COLUMN protocol
    'x402, l402, mpp (Machine Payments Protocol), or empty';
