-- What a line claims of a transaction with several payers is about what its own payer paid.
ALTER TABLE masques_ops.settlement_claims
    ADD COLUMN IF NOT EXISTS payers_id UUID DEFAULT toUUID('00000000-0000-0000-0000-000000000000')
    COMMENT 'the settlement of the payer of the line alone, where the transaction has several payers; the zero UUID where it can have one only'
    AFTER settlement_id;
