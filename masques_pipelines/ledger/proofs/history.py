"""The checkpoint and the account history against all events from the beginning.

`masques verify --full` adds this to the other proofs: its cost grows with history.
"""

from typing import Final

from masques_pipelines.ledger.proofs.balances import BALANCE_NAMES
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql


def prove_history(scope: Scope) -> ProofResult:
    """Compares the newest checkpoint's balances with all events up to it, and with the days."""
    position = scope.position
    if position.checkpoint_ns == 0:
        return ProofResult("holds", "there is no checkpoint yet")
    numbers = {"from_ns": position.base_ns, "checkpoint_ns": position.checkpoint_ns}
    rows = scope.warehouse.rows(
        sql("ledger/proofs/history_differences"),
        {"base_ns": position.base_ns, "checkpoint_ns": position.checkpoint_ns},
    )
    if not rows:
        return ProofResult("holds", f"up to ledger time {position.checkpoint_ns}", (), numbers)
    findings = tuple(
        f"account {account_id}: {name} at the checkpoint {scope.money(ledger, kept)}, by events "
        f"{scope.money(ledger, added)}, by days {scope.money(ledger, by_day)}"
        for account_id, ledger, checkpoint, events, days in rows
        for name, kept, added, by_day in zip(BALANCE_NAMES, checkpoint, events, days, strict=True)
        if not kept == added == by_day
    )
    summary = (
        f"{len(rows)} accounts or more: run `masques verify --full --renew` to write both again"
    )
    return ProofResult("fails", summary, findings[:20], numbers)


ACCOUNT_HISTORY: Final = Proof(
    name="account_history",
    table="accounts",
    statement="Checkpoint and account history equal the sum of all events",
    advice="`masques verify --full --renew` writes both again from the events.",
    prove=prove_history,
    only_full=True,
)
