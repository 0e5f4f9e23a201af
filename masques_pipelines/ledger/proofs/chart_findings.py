"""Ledgers, codes and resource types that the chart does not know, or learned or renamed later."""

from typing import Any, Final

from masques_pipelines.ledger.chart import placeholder
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql

_REMEDIES: Final = {
    "transactions": "run `masques ledger rebuild`",
    "accounts": "sync the accounts",
}


def find_unknown_numbers(scope: Scope) -> ProofResult:
    """Finds rows whose words are not those that the chart in force has for their numbers."""
    rows = scope.warehouse.records(sql("ledger/proofs/chart_findings"))
    if not rows:
        return ProofResult("holds", "ledgers, codes and resource types")
    findings = tuple(map(_finding, rows))
    return ProofResult("fails", findings[0], findings)


def _finding(row: dict[str, Any]) -> str:
    kind, number, name, name_now = (row[key] for key in ("kind", "number", "name", "name_now"))
    found = f"{row['table_name']}: {row['affected']:,} rows"
    remedy = _REMEDIES[row["table_name"]]
    if name == placeholder(kind, number):
        if name_now:
            return f"{found} are older than the chart's entry for {name}: {remedy}"
        return f"{found} with {name}, which is not in the chart: add it"
    if name_now:
        return f"{found} call {kind} {number} {name}, which the chart calls {name_now}: {remedy}"
    return f"{found} call {kind} {number} {name}, which is not in the chart any more: put it back"


CHART: Final = Proof(
    name="chart_knows_all",
    table="transactions",
    statement="Every ledger, code and resource type has the name that the chart gives it",
    advice="Add the numbers that it names to the chart (MASQUES_LEDGER_CHART); what the chart has "
    "learned or renamed since, `masques ledger rebuild` writes into the rows.",
    prove=find_unknown_numbers,
    is_warning=True,
)
