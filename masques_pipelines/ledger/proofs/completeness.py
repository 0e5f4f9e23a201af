"""Completeness: the table holds every event that the source sent, once.

The content of single rows is what integrity.py proves.
"""

from typing import Final

from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.ledger.proofs.sealed import sealed_months
from masques_pipelines.warehouse.sql import sql

_ACCOUNTS_AGAIN: Final = "`masques ledger rebuild --accounts` reads them from the ledger again"


def prove_completeness(scope: Scope) -> ProofResult:
    """Compares counts and sums with what the source sent, and accounts with their reading."""
    base_ns = max(scope.position.base_ns, scope.position.removed_ns)
    after = {"base_ns": base_ns, "sealed_sequence": scope.anchor.sequence}
    sent, there, times, read, known = scope.warehouse.row(sql("ledger/proofs/counts"), after)
    findings = []
    if not sent == there == times:
        findings.append(f"{sent:,} events were sent, {there:,} rows with {times:,} times are there")
    for ledger, *sums in scope.warehouse.rows(sql("ledger/proofs/sealed_sums"), after):
        for kind, was_sent, is_there in (("posted", *sums[:2]), ("held", *sums[2:])):
            if was_sent != is_there:
                findings.append(
                    f"ledger {ledger}: {scope.money(ledger, was_sent)} {kind} were sent, "
                    f"{scope.money(ledger, is_there)} are there (difference "
                    f"{scope.money(ledger, is_there - was_sent)})"
                )
    if read != known:
        findings.append(f"{read:,} accounts were read, {known:,} are there: {_ACCOUNTS_AGAIN}")
    months, rows = _compare_months(scope, findings)
    numbers = {
        "events": int(there),
        "rows": rows,
        "months": months,
        "accounts": int(known),
        "from_ns": base_ns,
    }
    if findings:
        return ProofResult("fails", f"{len(findings)} differences", tuple(findings), numbers)
    since = "since the checkpoint" if base_ns else "in all"
    summary = (
        f"{there:,} events {since} by time and amount, {rows:,} rows in {months} months by count, "
        f"{known:,} accounts"
    )
    return ProofResult("holds", summary, numbers=numbers)


def _compare_months(scope: Scope, findings: list[str]) -> tuple[int, int]:
    """Compares each month's rows with its sealed events; returns months and rows compared.

    Months that retention has begun to remove are left out.
    """
    sealed, sealed_to_ns = sealed_months(scope.warehouse, scope.anchor)
    there = {
        int(month): int(rows) - int(unsealed)
        for month, rows, unsealed in scope.warehouse.rows(
            sql("ledger/proofs/month_counts"), {"sealed_to_ns": sealed_to_ns}
        )
    }
    removed_ns = scope.position.removed_ns
    removed_month = Month.of(removed_ns).partition if removed_ns else 0
    months = [month for month in sorted({*sealed, *there}) if month > removed_month]
    findings += [
        f"month {Month.of_partition(month)}: {sealed.get(month, 0):,} events were sent, "
        f"{there.get(month, 0):,} are there"
        for month in months
        if sealed.get(month, 0) != there.get(month, 0)
    ]
    return len(months), sum(there.get(month, 0) for month in months)


COMPLETENESS: Final = Proof(
    name="completeness",
    table="transactions",
    statement="Every event that the ledger sent is there once, and every account that was read",
    advice="`masques ledger rebuild --month YYYY-MM` writes a month from the ledger again.",
    prove=prove_completeness,
)
