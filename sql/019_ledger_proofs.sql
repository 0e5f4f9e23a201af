-- What the proofs of the ledger's copy need to be sure, and to cost the same however long the history.

-- The numbers that words stand for. A chart may rename and reuse words; the proofs read the numbers.
ALTER TABLE masques.transactions
    ADD COLUMN IF NOT EXISTS resource_code UInt8
    COMMENT 'user_data_32 >> 24 in TigerBeetle; resource_type is its meaning';
ALTER TABLE masques.transactions
    ADD COLUMN IF NOT EXISTS chart_version UInt64
    COMMENT 'the chart that gave currency, transaction_type and resource_type: version of masques_ops.chart_entries';
ALTER TABLE masques_ops.transactions_rebuilt
    ADD COLUMN IF NOT EXISTS resource_code UInt8
    COMMENT 'user_data_32 >> 24 in TigerBeetle; resource_type is its meaning';
ALTER TABLE masques_ops.transactions_rebuilt
    ADD COLUMN IF NOT EXISTS chart_version UInt64
    COMMENT 'the chart that gave currency, transaction_type and resource_type: version of masques_ops.chart_entries';

-- Rows of before this file: the chart that was in force when they were written, and what it called
-- their resource. (A sync loads its chart before it writes.)
ALTER TABLE masques.transactions
    UPDATE chart_version = if(
        toUInt64(toUnixTimestamp64Milli(ingested_at)) * 1000000 + 999999
            < (SELECT min(version) FROM masques_ops.chart_entries),
        (SELECT min(version) FROM masques_ops.chart_entries),
        arrayReduce('max', arrayFilter(
            version -> version <= toUInt64(toUnixTimestamp64Milli(ingested_at)) * 1000000 + 999999,
            (SELECT groupUniqArray(version) FROM masques_ops.chart_entries))))
    WHERE chart_version = 0
    SETTINGS mutations_sync = 2, allow_nondeterministic_mutations = 1;
ALTER TABLE masques.transactions
    UPDATE resource_code = if(
        startsWith(resource_type, 'type_'),
        toUInt8OrZero(substring(toString(resource_type), 6)),
        transform(
            concat(toString(chart_version), ' ', resource_type),
            (
                SELECT arrayPushBack(groupArray(concat(toString(version), ' ', name)), '')
                FROM (SELECT DISTINCT version, name, code FROM masques_ops.chart_entries
                    WHERE kind = 'resource_type' ORDER BY version, code)
            ),
            (
                SELECT arrayPushBack(groupArray(toUInt8(code)), toUInt8(0))
                FROM (SELECT DISTINCT version, name, code FROM masques_ops.chart_entries
                    WHERE kind = 'resource_type' ORDER BY version, code)
            ),
            toUInt8(0)))
    WHERE resource_code = 0 AND resource_type != ''
    SETTINGS mutations_sync = 2, allow_nondeterministic_mutations = 1;

-- Up to where the chain of seals was proved: later proofs go on from there.
ALTER TABLE masques_ops.balance_checkpoints
    ADD COLUMN IF NOT EXISTS sealed_sequence UInt64
    COMMENT 'the newest seal that ends at or before the checkpoint; 0 when none does or it was not recorded'
    AFTER open_holds;
ALTER TABLE masques_ops.balance_checkpoints
    ADD COLUMN IF NOT EXISTS sealed_digest String
    COMMENT 'digest of that seal, which covers all before it'
    AFTER sealed_sequence;
ALTER TABLE masques_ops.balance_checkpoints
    ADD COLUMN IF NOT EXISTS sealed_events Map(UInt32, UInt64)
    COMMENT 'events of all seals up to that one, by month as 202611'
    AFTER sealed_digest;
ALTER TABLE masques_ops.balance_checkpoints
    ADD COLUMN IF NOT EXISTS is_opening UInt8
    COMMENT '1 for the balances that older events than retention keeps add up to, read from the ledger'
    AFTER sealed_events;

-- What a page of accounts showed, so that the table can be compared with it later.
ALTER TABLE masques_ops.account_reads
    ADD COLUMN IF NOT EXISTS content_digest UInt64
    COMMENT 'order-free digest of the page''s accounts as the ledger sent them; 0 when it was not taken'
    AFTER accounts;
ALTER TABLE masques_ops.account_reads
    ADD COLUMN IF NOT EXISTS is_healed UInt8
    COMMENT '1 when masques.accounts was not what the reading before had shown of these accounts; this reading wrote them again'
    AFTER content_digest;

-- An accounts table that was damaged is read into this one and swapped in as a whole.
CREATE TABLE IF NOT EXISTS masques_ops.accounts_rebuilt AS masques.accounts
ENGINE = /*cluster:Replicated*/ReplacingMergeTree(snapshot_at)
ORDER BY account_id
COMMENT 'Accounts that the ledger sent again: masques ledger rebuild --accounts swaps them from here into masques.accounts. Empty between rebuilds.';

ALTER TABLE masques_ops.ledger_binding COMMENT COLUMN first_event_at
    'ledger time of the ledger''s first event; 1970-01-01 in a row of before it had one';
ALTER TABLE masques_ops.ledger_binding COMMENT COLUMN first_transfer_id
    'the transfer of the first event of the ledger; zero in a row of before it had one';
ALTER TABLE masques_ops.ledger_binding MODIFY COMMENT
    'Which ledger this warehouse is a copy of: a row when its cluster was bound, one more when its first event was seen. Another ledger is refused.';
