"""Completeness: the table holds every event that the source sent, once.

The content of single rows is what integrity.py proves.
"""

from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql


def prove_completeness(scope: Scope) -> ProofResult:
    """Compares counts and sums with what the source sent, and accounts with their reading."""
    base_ns = max(scope.position.base_ns, scope.position.removed_ns)
    sent, there, times, read, known = scope.warehouse.row(
        sql("ledger/proofs/counts"), {"base_ns": base_ns}
    )
    findings = []
    if not sent == there == times:
        findings.append(f"{sent:,} events were sent, {there:,} rows with {times:,} times are there")
    for ledger, *sums in scope.warehouse.rows(
        sql("ledger/proofs/sealed_sums"), {"base_ns": base_ns}
    ):
        for kind, was_sent, is_there in (("posted", *sums[:2]), ("held", *sums[2:])):
            if was_sent != is_there:
                findings.append(
                    f"ledger {ledger}: {scope.money(ledger, was_sent)} {kind} were sent, "
                    f"{scope.money(ledger, is_there)} are there (difference "
                    f"{scope.money(ledger, is_there - was_sent)})"
                )
    if read != known:
        findings.append(f"{read:,} accounts were read, {known:,} are there")
    numbers = {"events": int(there), "accounts": int(known), "from_ns": base_ns}
    if findings:
        return ProofResult("fails", f"{len(findings)} differences", tuple(findings), numbers)
    summary = f"{there:,} events since the checkpoint, {known:,} accounts"
    return ProofResult("holds", summary, numbers=numbers)


COMPLETENESS: Final = Proof(
    name="completeness",
    table="transactions",
    statement="Every event that the ledger sent is there once, and every account that was read",
    advice="`masques ledger rebuild --month YYYY-MM` writes a month from the ledger again.",
    prove=prove_completeness,
)
