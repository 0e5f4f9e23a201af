"""The checkpoint and the account history against all events from the beginning.

Here: the comparison that `masques verify --full` adds to the balance proof.
Not here: writing checkpoints (checkpoints.py).
A re-run proves anew; its cost grows with history.
"""

from typing import Final

from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.result import Money, Proof
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NAME: Final = "checkpoint and account history equal the sum of all events"
_BALANCES: Final = ("debits pending", "debits posted", "credits pending", "credits posted")


def prove_history(warehouse: Warehouse) -> Proof:
    """Compares the newest checkpoint's balances with all events up to it, and with the days."""
    position = read_position(warehouse, from_beginning=True)
    if position.checkpoint_ns == 0:
        return Proof(NAME, "holds", "there is no checkpoint yet")
    rows = warehouse.rows(
        sql("ledger/proofs/history_differences"),
        {"base_ns": position.base_ns, "checkpoint_ns": position.checkpoint_ns},
    )
    numbers = {"from_ns": position.base_ns, "checkpoint_ns": position.checkpoint_ns}
    if not rows:
        return Proof(NAME, "holds", f"up to ledger time {position.checkpoint_ns}", (), numbers)
    money = Money(warehouse)
    findings = tuple(
        f"account {account_id}: {name} at the checkpoint {money.text(ledger, kept)}, by events "
        f"{money.text(ledger, added)}, by days {money.text(ledger, by_day)}"
        for account_id, ledger, checkpoint, events, days in rows
        for name, kept, added, by_day in zip(_BALANCES, checkpoint, events, days, strict=True)
        if not kept == added == by_day
    )
    summary = (
        f"{len(rows)} accounts or more: run `masques verify --full --renew` to write both anew"
    )
    return Proof(NAME, "fails", summary, findings[:20], numbers)
