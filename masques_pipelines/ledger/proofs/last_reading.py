"""The accounts against their newest reading: owner, code, ledger, flags, balances, creation time.

Each sync reads all accounts and writes what differs, so what was edited or lost comes back by
itself. That it had to is a finding of that sync's checks.
"""

from typing import Final

from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope
from masques_pipelines.warehouse.sql import sql

_READING: Final = (
    "SELECT min(content_digest) > 0, sum(is_healed), sum(accounts) "
    "FROM masques_ops.account_reads FINAL WHERE read_id = ("
    "SELECT argMax(read_id, (snapshot_at_ns, recorded_at)) FROM masques_ops.account_reads "
    "WHERE is_last)"
)


def prove_last_reading(scope: Scope) -> ProofResult:
    """Compares every page of the newest reading with the table."""
    is_taken, healed, accounts = scope.warehouse.row(_READING)
    if not accounts and not scope.position.accounts:
        return ProofResult("holds", "there are no accounts")
    if accounts and not is_taken:
        reason = "the newest reading took no digest: sync the accounts, then prove again"
        return ProofResult("inconclusive", reason)
    rows = scope.warehouse.records(sql("ledger/proofs/account_pages"))
    findings = [_finding(row) for row in rows]
    if healed and scope.after_sync:
        findings.append(
            f"{healed} pages of accounts were not as the reading before had shown them: somebody "
            "changed masques.accounts; this reading has written them again"
        )
    numbers = {"accounts": int(accounts), "pages_healed": int(healed)}
    if findings:
        return ProofResult("fails", findings[0], tuple(findings[:20]), numbers)
    return ProofResult("holds", f"all {accounts:,} accounts, in all columns", (), numbers)


def _finding(row: dict[str, int]) -> str:
    where = f"page {row['page']}, accounts created from {row['created_from_ns']} on"
    if row["accounts_read"] != row["accounts_there"]:
        return f"{where}: {row['accounts_read']:,} were read, {row['accounts_there']:,} are there"
    if row["is_changed"] or row["accounts_odd"]:
        return f"{where}: of {row['accounts_read']:,}, some are not as the ledger showed them"
    return (
        f"{where}: {row['accounts_of_other_words']:,} have a currency or type that the chart does "
        "not give: sync the accounts"
    )


LAST_READING: Final = Proof(
    name="last_reading",
    table="accounts",
    statement="Every account is what the ledger last showed, in all columns, and no other is there",
    advice="The next sync writes what was edited or lost again; `masques ledger rebuild "
    "--accounts` reads all into an empty table. Find out who writes to masques.accounts.",
    prove=prove_last_reading,
)
