"""Ledgers, codes and resource types that the chart does not know, or learned after the rows."""

from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql


def find_unknown_numbers(scope: Scope) -> ProofResult:
    """Finds rows that were written with a number for want of a name."""
    rows = scope.warehouse.rows(sql("ledger/proofs/chart_findings"))
    if not rows:
        return ProofResult("holds", "ledgers, codes and resource types")
    findings = tuple(
        f"{table}: {count:,} rows are older than the chart's entry for {name}: run `masques ledger "
        "rebuild`"
        if is_known_now
        else f"{table}: {count:,} rows with {name}, which is not in the chart: add it"
        for table, name, is_known_now, count in rows
    )
    return ProofResult("fails", findings[0], findings)


CHART: Final = Proof(
    name="chart_knows_all",
    table="transactions",
    statement="The chart knows every ledger, code and resource type, and did in time",
    advice="Add the number to the chart (MASQUES_LEDGER_CHART), then run `masques ledger rebuild`.",
    prove=find_unknown_numbers,
    is_warning=True,
)
