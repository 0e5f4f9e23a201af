"""The balances of accounts, from the snapshots and from folding the events.

Here: two independent ways to the same four numbers, for tests to compare with the ledger's own.
Not here: the product's proofs, which have their own SQL.
A re-run asks the warehouse again.
"""

import uuid
from decimal import Decimal
from typing import Final

from masques_pipelines.warehouse.client import Warehouse

# debits pending, debits posted, credits pending, credits posted
Balances = tuple[Decimal, ...]
NO_BALANCES: Final[Balances] = (Decimal(0),) * 4

_FOLD: Final = """
WITH holds AS
(
    SELECT transaction_id, amount FROM masques.transactions WHERE event_type = 'two_phase_pending'
)
SELECT
    account_id, sum(pending_debits), sum(posted_debits), sum(pending_credits), sum(posted_credits)
FROM
(
    SELECT
        arrayJoin([(t.debit_account_id, 1), (t.credit_account_id, 0)]) AS side,
        side.1 AS account_id,
        multiIf(t.event_type = 'two_phase_pending', t.amount,
            t.event_type = 'single_phase', toDecimal256(0, 18), -h.amount) AS pending,
        if(t.event_type IN ('single_phase', 'two_phase_posted'), t.amount, toDecimal256(0, 18))
            AS posted,
        if(side.2 = 1, pending, toDecimal256(0, 18)) AS pending_debits,
        if(side.2 = 1, posted, toDecimal256(0, 18)) AS posted_debits,
        if(side.2 = 0, pending, toDecimal256(0, 18)) AS pending_credits,
        if(side.2 = 0, posted, toDecimal256(0, 18)) AS posted_credits
    FROM masques.transactions AS t
    LEFT JOIN holds AS h ON h.transaction_id = t.pending_id
)
GROUP BY account_id
"""


def folded_balances(warehouse: Warehouse) -> dict[uuid.UUID, Balances]:
    """Returns the balances that all events add up to; an account without events has none."""
    return {row[0]: tuple(row[1:]) for row in warehouse.rows(_FOLD)}


def snapshot_balances(warehouse: Warehouse) -> dict[uuid.UUID, Balances]:
    """Returns the balances of the newest snapshots."""
    rows = warehouse.rows(
        "SELECT account_id, debits_pending, debits_posted, credits_pending, credits_posted "
        "FROM masques.accounts FINAL"
    )
    return {row[0]: tuple(row[1:]) for row in rows}
