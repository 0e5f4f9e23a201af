-- Ledger time of the ledger's first event; the end of time when none was seen.
SELECT if(count() = 0, 9223372036854775807, toUnixTimestamp64Nano(min(first_event_at)))
FROM masques_ops.ledger_binding
