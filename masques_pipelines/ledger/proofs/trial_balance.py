"""The trial balance: in each ledger debits equal credits, posted and pending, at one ledger time.

The pages of one reading of accounts have different ledger times while the ledger is written to. So
each account is moved on to one time, the newest of the readings, by the events in between.
"""

from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql


def prove_trial_balance(scope: Scope) -> ProofResult:
    """Compares debits with credits over all accounts, by ledger."""
    position = scope.position
    numbers = {"at_ns": position.last_reading_ns, "accounts": position.accounts}
    if position.obstacle:
        return ProofResult("inconclusive", position.obstacle, numbers=numbers)
    rows = scope.warehouse.records(
        sql("ledger/proofs/trial_balance"),
        {"base_ns": position.base_ns, "until_ns": position.last_reading_ns},
    )
    findings = []
    for row in rows:
        for kind in ("posted", "pending"):
            debits, credits_ = row[f"{kind}_debits"], row[f"{kind}_credits"]
            if debits != credits_:
                findings.append(
                    f"ledger {row['ledger']}: {kind} debits {scope.money(row['ledger'], debits)}, "
                    f"{kind} credits {scope.money(row['ledger'], credits_)} (difference "
                    f"{scope.money(row['ledger'], debits - credits_)})"
                )
    if findings and scope.excuses_imports and scope.imports(position.last_reading_ns):
        summary = f"{len(findings)} sums differ, and transfers were imported meanwhile"
        return ProofResult("inconclusive", summary, tuple(findings), numbers)
    if findings:
        return ProofResult("fails", f"{len(findings)} sums differ", tuple(findings), numbers)
    totals = ", ".join(scope.money(row["ledger"], row["posted_debits"]) for row in rows) or "none"
    summary = f"{len(rows)} ledgers; posted in all: {totals}"
    return ProofResult("holds", summary, numbers=numbers)


TRIAL_BALANCE: Final = Proof(
    name="trial_balance",
    table="transactions",
    statement="Debits equal credits in each ledger at one ledger time, posted and pending",
    advice="What depends on the transactions waits until it holds: see which of the other proofs "
    "fail, and compare the ledger that it names with TigerBeetle.",
    prove=prove_trial_balance,
    is_blocking=True,
)
