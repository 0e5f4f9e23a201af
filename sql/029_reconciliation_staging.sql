-- What one part of a comparison reads of each side, folded to one row per payment. Emptied by each run.

CREATE TABLE IF NOT EXISTS masques_ops.payments_links
(
    settlement_id UUID COMMENT 'the settlement',
    item_id UUID COMMENT 'the payment that its money is for; the settlement itself when nothing names it',
    first_id UUID COMMENT 'the payment with the least id: of one settlement for several it takes the difference',
    payments UInt32 COMMENT 'how many payments the settlement is for'
)
ENGINE = Memory
COMMENT 'Which settlements pay which payment, as one comparison reads it. Emptied by each run.';

CREATE TABLE IF NOT EXISTS masques_ops.payments_gate
(
    item_id UUID COMMENT 'the payment',
    requests UInt32 COMMENT 'requests that name it',
    sessions UInt32 COMMENT 'sessions that name it',
    claims UInt32 COMMENT 'of both, those that say that something was paid',
    served UInt32 COMMENT 'requests that were served',
    undecided UInt32 COMMENT 'requests of which the gate does not know whether they were paid',
    doffed UInt32 COMMENT 'sessions that ended',
    stated UInt32 COMMENT 'of both, those that say what they charged',
    unstated UInt32 COMMENT 'requests that do not say what they charged',
    charged Decimal(76, 18) COMMENT 'sum of what they charged',
    currency LowCardinality(String) COMMENT 'least of the assets that they charged in',
    currency_max LowCardinality(String) COMMENT 'greatest of them: another one means that they differ',
    identity_id UUID COMMENT 'least of the identities that asked; zero for none',
    identity_id_max UUID COMMENT 'greatest of them',
    request_id UUID COMMENT 'greatest of the requests; zero for none',
    session_id UUID COMMENT 'greatest of the sessions; zero for none',
    first_at DateTime64(9, 'UTC') COMMENT 'when the first of them began',
    last_at DateTime64(9, 'UTC') COMMENT 'when the last of them was told'
)
ENGINE = Memory
COMMENT 'What requests and sessions say of each payment, as one comparison reads it. Emptied by each run.';

CREATE TABLE IF NOT EXISTS masques_ops.payments_rail
(
    item_id UUID COMMENT 'the payment',
    settlements UInt32 COMMENT 'settlements that are linked to it',
    confirmed UInt32 COMMENT 'of these, those that are confirmed',
    failed UInt32 COMMENT 'of these, those that failed',
    waiting UInt32 COMMENT 'of these, those that are neither',
    open UInt32 COMMENT 'of those that wait, those that were not closed without money',
    settled Decimal(76, 18) COMMENT 'sum of the confirmed ones, or of their shares',
    waited_for Decimal(76, 18) COMMENT 'sum of those that wait, or of their shares',
    assets Array(LowCardinality(String)) COMMENT 'assets of the confirmed ones',
    asset LowCardinality(String) COMMENT 'greatest of the assets of all',
    directions Array(LowCardinality(String)) COMMENT 'directions of the confirmed ones',
    payers Array(UUID) COMMENT 'accounts that the confirmed ones came from',
    deadline_s UInt32 COMMENT 'latest deadline of those that wait, in seconds since 1970; 0 for none',
    reason LowCardinality(String) COMMENT 'greatest of the reasons of failure',
    rail LowCardinality(String) COMMENT 'greatest of their rails',
    settlement_id UUID COMMENT 'greatest of their ids',
    at DateTime64(9, 'UTC') COMMENT 'latest of their times',
    first_at DateTime64(9, 'UTC') COMMENT 'earliest time of any revision',
    last_at DateTime64(9, 'UTC') COMMENT 'latest time of any revision'
)
ENGINE = Memory
COMMENT 'What settlements say of each payment, as one comparison reads it. Emptied by each run.';

CREATE TABLE IF NOT EXISTS masques_ops.payments_booked
(
    item_id UUID COMMENT 'the transfer, or the hold of a two-phase one',
    at DateTime64(9, 'UTC') COMMENT 'ledger time of the transfer, or of the hold',
    done_at DateTime64(9, 'UTC') COMMENT 'ledger time of its last event',
    transaction_type LowCardinality(String) COMMENT 'transfer code by the chart',
    code UInt16 COMMENT 'transfer code',
    ledger UInt32 COMMENT 'number of the ledger',
    payer UUID COMMENT 'account that pays',
    payee UUID COMMENT 'account that is paid',
    currency LowCardinality(String) COMMENT 'asset of the ledger by the chart',
    posted Decimal(76, 18) COMMENT 'amount posted',
    held Decimal(76, 18) COMMENT 'amount of the hold; 0 for a single-phase transfer',
    timeout_s UInt32 COMMENT 'seconds after which the hold expires; 0 for never',
    state LowCardinality(String) COMMENT 'open, posted, voided or expired'
)
ENGINE = Memory
COMMENT 'What the ledger says of each payment, as one comparison reads it. Emptied by each run.';

CREATE TABLE IF NOT EXISTS masques_ops.payments_said
AS masques_ops.payments_log ENGINE = Memory
COMMENT 'What should be said of the payments of one part of a comparison. Emptied by each run.';

CREATE TABLE IF NOT EXISTS masques_ops.payments_unsaid
(
    item_id UUID COMMENT 'the payment',
    content FixedString(16) COMMENT 'content of rows of masques_ops.payments_log',
    net Int64 COMMENT 'sum of their signs: 1 while it is said'
)
ENGINE = Memory
COMMENT 'What the log says of the payments of one part of a comparison. Emptied by each run.';

ALTER TABLE masques_ops.payments_log COMMENT COLUMN content 'hash of all columns but sign and known_from';
ALTER TABLE masques_ops.payments_said COMMENT COLUMN content 'hash of all columns but sign and known_from';
