"""The balance proof: every account's balances are what its events add up to, to the last unit.

Here: the comparison of all accounts with their events, and the new readings that an import needs.
Not here: what a change of a balance is (the view masques_ops.balance_changes), and the checkpoints
that proofs start from (checkpoints.py).
A re-run proves anew from the newest checkpoint, so that its cost does not grow with history.

An account's balances held at the exact ledger time of its reading, so they must equal the sum of
its events up to that time; writers do not have to stop. An import may land behind a reading: then
the events hold what the balances did not yet show. That is told by flag 256, and a new reading
settles it.
"""

from collections.abc import Callable
from typing import Any, Final

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import Chart
from masques_pipelines.ledger.proofs.position import Position, read_position
from masques_pipelines.ledger.proofs.result import Money, Proof
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NAME: Final = "balances equal the sum of their events"
READINGS_MAX: Final = 3
_BALANCES: Final = ("debits pending", "debits posted", "credits pending", "credits posted")


def prove_balances(warehouse: Warehouse, *, from_beginning: bool = False) -> Proof:
    """Compares every account's balances with its events.

    Args:
        warehouse: Where the copy is.
        from_beginning: Add up all events there are, not those since the newest checkpoint.
    """
    position = read_position(warehouse, from_beginning=from_beginning)
    numbers = {
        "accounts": position.accounts,
        "from_ns": position.base_ns,
        "until_ns": position.last_reading_ns,
    }
    if position.obstacle:
        return Proof(NAME, "inconclusive", position.obstacle, numbers=numbers)
    rows = warehouse.records(
        sql("ledger/proofs/balance_differences"),
        {"base_ns": position.base_ns, "until_ns": position.until_ns},
    )
    if not rows:
        return Proof(
            NAME,
            "holds",
            f"all {position.accounts:,} accounts, up to ledger time {position.last_reading_ns}",
            numbers=numbers,
        )
    differing = int(rows[0]["differing"])
    money = Money(warehouse)
    findings = tuple(line for row in rows for line in _differences(row, money))
    if _have_imports(warehouse, position):
        return Proof(
            NAME,
            "inconclusive",
            f"{differing:,} accounts differ, and transfers were imported meanwhile: read the "
            "accounts again, then prove again",
            findings,
            numbers,
        )
    return Proof(NAME, "fails", f"{differing:,} accounts differ", findings, numbers)


def prove_balances_reading_again(
    warehouse: Warehouse,
    source: LedgerSource,
    chart: Chart,
    *,
    report: Callable[[str], None] = lambda _line: None,
) -> Proof:
    """Proves the balances; reads accounts and events again for as long as imports blur the picture.

    Raises:
        As sync_accounts and sync_transactions.
    """
    proof = prove_balances(warehouse)
    for _ in range(READINGS_MAX):
        if proof.outcome != "inconclusive":
            return proof
        report(f"{proof.summary}; reading")
        sync_accounts(warehouse, source, chart, report=report)
        sync_transactions(warehouse, source, chart, report=report)
        proof = prove_balances(warehouse)
    if proof.outcome == "inconclusive" and proof.findings:
        return Proof(NAME, "fails", proof.summary, proof.findings, proof.numbers)
    return proof


def _differences(row: dict[str, Any], money: Money) -> list[str]:
    if int(row["read_at_ns"]) == 0:
        return [f"account {row['account']} (ledger {row['ledger_number']}) has events and no row"]
    return [
        f"account {row['account']}: {name} {money.text(row['ledger_number'], shown)}, its events "
        f"add up to {money.text(row['ledger_number'], added)} (difference "
        f"{money.text(row['ledger_number'], int(shown) - int(added))})"
        for name, shown, added in zip(_BALANCES, row["shown"], row["added_up"], strict=True)
        if shown != added
    ]


def _have_imports(warehouse: Warehouse, position: Position) -> bool:
    """Says whether transfers were imported into the time that the proof looks at."""
    found = warehouse.scalar(
        sql("ledger/proofs/imports"),
        {"base_ns": position.base_ns, "until_ns": position.last_reading_ns},
    )
    return bool(found)
