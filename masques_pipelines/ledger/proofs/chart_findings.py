"""What the chart does not say: ledgers, codes and resource types, and what transfers need."""

from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql

_NEEDS_NOT_SAID: Final = """
SELECT code, transaction_type
FROM masques_ops.chart_transfer_codes
WHERE needs = ''
ORDER BY code"""


def find_unknown_numbers(scope: Scope) -> ProofResult:
    """Finds rows that were written with a number for want of a name, and codes without needs."""
    rows = scope.warehouse.rows(sql("ledger/proofs/chart_findings"))
    findings = tuple(
        f"{table}: {count:,} rows are older than the chart's entry for {name}: run `masques ledger "
        "rebuild`"
        if is_known_now
        else f"{table}: {count:,} rows with {name}, which is not in the chart: add it"
        for table, name, is_known_now, count in rows
    ) + tuple(
        f"transfer code {code}, {name}: the chart does not say what it needs: write `{code}: "
        f"{{name: {name}, needs: …, within_s: …}}`, as in the packaged chart.yaml"
        for code, name in scope.warehouse.rows(_NEEDS_NOT_SAID)
    )
    if not findings:
        return ProofResult("holds", "ledgers, codes and resource types")
    return ProofResult("fails", findings[0], findings)


CHART: Final = Proof(
    name="chart_knows_all",
    table="transactions",
    statement="The chart knows all ledgers, codes and resource types, and knew them in time",
    advice="Add the number to the chart (MASQUES_LEDGER_CHART), then run `masques ledger rebuild`.",
    prove=find_unknown_numbers,
    is_warning=True,
)
