"""What the chart does not say, or learned or renamed after rows were written."""

from typing import Any, Final

from masques_pipelines.ledger.chart import placeholder
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql

_NEEDS_NOT_SAID: Final = """
SELECT code, transaction_type
FROM masques_ops.chart_transfer_codes
WHERE needs = ''
ORDER BY code"""


_REMEDIES: Final = {
    "transactions": "run `masques ledger rebuild`",
    "accounts": "sync the accounts",
}


def find_unknown_numbers(scope: Scope) -> ProofResult:
    """Finds rows whose words the chart does not have for their numbers; codes without needs."""
    rows = scope.warehouse.records(sql("ledger/proofs/chart_findings"))
    findings = tuple(map(_finding, rows)) + tuple(
        f"transfer code {code}, {name}: the chart does not say what it needs: write `{code}: "
        f"{{name: {name}, needs: …, within_s: …}}`, as in the packaged chart.yaml"
        for code, name in scope.warehouse.rows(_NEEDS_NOT_SAID)
    )
    if not findings:
        return ProofResult("holds", "ledgers, codes and resource types")
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
