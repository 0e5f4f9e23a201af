"""The trial balance: in each ledger debits equal credits, posted and pending, at one ledger time.

Here: the comparison of the sums over all accounts.
Not here: the balances of single accounts (balances.py).
A re-run proves anew.

The pages of one reading of accounts have different ledger times while the ledger is written to. So
each account is moved on to one time, the newest of the readings, by the events in between.
"""

from typing import Final

from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.result import Money, Proof
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NAME: Final = "debits equal credits in each ledger"


def prove_trial_balance(warehouse: Warehouse, *, from_beginning: bool = False) -> Proof:
    """Compares debits with credits over all accounts, by ledger.

    Args:
        warehouse: Where the copy is.
        from_beginning: Start from the oldest checkpoint there can be.
    """
    position = read_position(warehouse, from_beginning=from_beginning)
    numbers = {"at_ns": position.last_reading_ns, "accounts": position.accounts}
    if position.obstacle:
        return Proof(NAME, "inconclusive", position.obstacle, numbers=numbers)
    rows = warehouse.records(
        sql("ledger/proofs/trial_balance"),
        {"base_ns": position.base_ns, "until_ns": position.last_reading_ns},
    )
    money = Money(warehouse)
    findings = [
        f"ledger {row['ledger']}: {kind} debits {money.text(row['ledger'], row[f'{kind}_debits'])},"
        f" {kind} credits {money.text(row['ledger'], row[f'{kind}_credits'])} (difference "
        f"{money.text(row['ledger'], row[f'{kind}_debits'] - row[f'{kind}_credits'])})"
        for row in rows
        for kind in ("posted", "pending")
        if row[f"{kind}_debits"] != row[f"{kind}_credits"]
    ]
    if findings:
        return Proof(NAME, "fails", f"{len(findings)} sums differ", tuple(findings), numbers)
    totals = ", ".join(money.text(row["ledger"], row["posted_debits"]) for row in rows) or "none"
    return Proof(NAME, "holds", f"{len(rows)} ledgers; posted in all: {totals}", numbers=numbers)
