"""The life of holds: each is open, posted, voided or expired, never two of them."""

from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql


def prove_holds(scope: Scope) -> ProofResult:
    """Finds holds that ended twice, ends without a hold, and posts above their hold."""
    position = scope.position
    numbers = {"from_ns": position.base_ns}
    if position.needs_opening or (
        position.removed_ns and not position.base_ns
    ):  # holds may have been removed for their age
        return ProofResult("inconclusive", str(position.obstacle), numbers=numbers)
    rows = scope.warehouse.records(
        sql("ledger/proofs/hold_violations"), {"base_ns": position.base_ns}
    )
    if not rows:
        summary = "open, posted, voided or expired, each once"
        return ProofResult("holds", summary, numbers=numbers)
    findings = tuple(
        f"hold {row['hold_id']}: {row['finding']} (held "
        f"{scope.money(row['ledger_number'], row['held'])}, posted "
        f"{scope.money(row['ledger_number'], row['posted'])}, {row['resolutions']} resolutions)"
        for row in rows
    )
    return ProofResult("fails", f"{int(rows[0]['findings']):,} holds", findings, numbers)


HOLDS: Final = Proof(
    name="hold_lifecycle",
    table="transactions",
    statement="Each hold is open, posted, voided or expired once, and no post exceeds its hold",
    advice="Look at the holds that it names in masques_marts.holds and in the ledger: events are "
    "missing, doubled or edited.",
    prove=prove_holds,
)


def find_overdue_holds(scope: Scope) -> ProofResult:
    """Finds open holds that the ledger should have expired."""
    rows = scope.warehouse.records(
        sql("ledger/proofs/overdue_holds"),
        {"base_ns": scope.position.base_ns, "until_ns": scope.position.watermark_ns},
    )
    if not rows:
        return ProofResult("holds", "none")
    findings = tuple(
        f"hold {row['hold_id']}: {scope.money(row['ledger_number'], row['held'])} open, "
        f"{row['overdue_s']:,} s past its timeout"
        for row in rows
    )
    return ProofResult("fails", f"{int(rows[0]['findings']):,} holds", findings)


NO_OVERDUE_HOLDS: Final = Proof(
    name="no_overdue_holds",
    table="transactions",
    statement="No open hold is a minute past its timeout",
    advice="The ledger expires holds within a tenth of a second: see whether TigerBeetle is "
    "healthy, and whether expiries reached the copy.",
    prove=find_overdue_holds,
    is_warning=True,
)
