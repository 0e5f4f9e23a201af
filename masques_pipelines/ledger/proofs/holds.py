"""The life of holds: each is open, posted, voided or expired, never two of them.

Here: holds that were resolved twice or without being open, posts above their hold, and open holds
whose time is up.
Not here: holds for people to look at (the view masques_marts.holds).
A re-run proves anew, from the holds that were open at the newest checkpoint.
"""

from typing import Final

from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.result import Money, Proof
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

NAME: Final = "each hold is resolved once at most"
OVERDUE_NAME: Final = "no open hold is past its timeout"


def prove_holds(warehouse: Warehouse, *, from_beginning: bool = False) -> Proof:
    """Looks for holds with two ends, ends without a hold, and posts above their hold."""
    position = read_position(warehouse, from_beginning=from_beginning)
    numbers = {"from_ns": position.base_ns}
    if position.removed_ns and not position.base_ns:  # holds may have been removed for their age
        return Proof(NAME, "inconclusive", str(position.obstacle), numbers=numbers)
    rows = warehouse.records(sql("ledger/proofs/hold_violations"), {"base_ns": position.base_ns})
    if not rows:
        return Proof(NAME, "holds", "open, posted, voided or expired, each once", numbers=numbers)
    money = Money(warehouse)
    findings = tuple(
        f"hold {row['hold_id']}: {row['finding']} (held "
        f"{money.text(row['ledger_number'], row['held'])}, posted "
        f"{money.text(row['ledger_number'], row['posted'])}, {row['resolutions']} resolutions)"
        for row in rows
    )
    return Proof(NAME, "fails", f"{int(rows[0]['findings']):,} holds", findings, numbers)


def find_overdue_holds(warehouse: Warehouse, *, from_beginning: bool = False) -> Proof:
    """Looks for open holds that the ledger should have expired: a warning, no row is wrong."""
    position = read_position(warehouse, from_beginning=from_beginning)
    rows = warehouse.records(
        sql("ledger/proofs/overdue_holds"),
        {"base_ns": position.base_ns, "until_ns": position.watermark_ns},
    )
    if not rows:
        return Proof(OVERDUE_NAME, "holds", "none", is_warning=True)
    money = Money(warehouse)
    findings = tuple(
        f"hold {row['hold_id']}: {money.text(row['ledger_number'], row['held'])} open, "
        f"{row['overdue_s']:,} s past its timeout"
        for row in rows
    )
    count = int(rows[0]["findings"])
    return Proof(OVERDUE_NAME, "fails", f"{count:,} holds", findings, is_warning=True)
