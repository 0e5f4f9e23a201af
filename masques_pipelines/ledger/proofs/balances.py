"""The balance proof: every account's balances are what its events add up to, to the last unit.

An account's balances held at the exact ledger time of its reading, so they must equal the sum of
its events up to that time; writers do not have to stop. An import may land behind a reading: then
the events hold what the balances did not yet show. Flag 256 marks an import, and a new reading
settles it.
"""

import logging
from dataclasses import replace
from typing import Any, Final

from masques_pipelines.ledger.accounts import sync_accounts
from masques_pipelines.ledger.chart import Chart
from masques_pipelines.ledger.proofs.opening import write_opening
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope, read_scope_of_news
from masques_pipelines.ledger.records import TIMESTAMP_MAX
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.transactions import sync_transactions
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

READINGS_MAX: Final = 3
BALANCE_NAMES: Final = ("debits pending", "debits posted", "credits pending", "credits posted")

logger = logging.getLogger(__name__)


def prove_balances(scope: Scope) -> ProofResult:
    """Compares every account's balances with its events."""
    position = scope.position
    numbers = {
        "accounts": position.accounts,
        "from_ns": position.base_ns,
        "until_ns": position.last_reading_ns,
    }
    if position.nothing or position.obstacle:
        reason = f"nothing to prove: {position.nothing}" if position.nothing else position.obstacle
        return ProofResult("inconclusive", str(reason), numbers=numbers)
    rows = scope.warehouse.records(
        sql("ledger/proofs/balance_differences"),
        {"base_ns": position.base_ns, "until_ns": position.until_ns},
    )
    if not rows:
        summary = (
            f"all {position.accounts:,} accounts, up to ledger time {position.last_reading_ns}"
        )
        return ProofResult("holds", summary, numbers=numbers)
    differing = int(rows[0]["differing"])
    findings = tuple(line for row in rows for line in _differences(scope, row))
    if scope.excuses_imports and scope.imports(position.last_reading_ns):
        return ProofResult(
            "inconclusive",
            f"{differing:,} accounts differ, and transfers were imported meanwhile: read the "
            "accounts again, then prove again",
            findings,
            numbers,
        )
    return ProofResult("fails", f"{differing:,} accounts differ", findings, numbers)


BALANCES: Final = Proof(
    name="balance_proof",
    table="accounts",
    statement="Every account's balances are the sum of its events, to the last unit",
    advice="Compare the accounts that it names with the ledger; `masques ledger rebuild` writes "
    "the events from the ledger again.",
    prove=prove_balances,
)


def prove_balances_reading_again(
    warehouse: Warehouse, source: LedgerSource, chart: Chart
) -> tuple[Scope, ProofResult]:
    """Proves the balances; reads accounts and events again when imports blur them.

    While an import goes on, each reading may find more: then nothing is proved and nothing refuted.

    Returns:
        The scope of the last attempt, for the other proofs, and how it ended.

    Raises:
        As sync_accounts and sync_transactions.
    """
    scope = read_scope_of_news(warehouse)
    if write_opening(warehouse, source, scope.position) is not None:
        scope = read_scope_of_news(warehouse)
    result = prove_balances(scope)
    for _ in range(READINGS_MAX):
        if result.outcome != "inconclusive" or scope.position.nothing:
            return scope, result
        logger.info("%s; reading", result.summary)
        imports = scope.imports(TIMESTAMP_MAX)
        sync_accounts(warehouse, source, chart)
        sync_transactions(warehouse, source, chart)
        scope = read_scope_of_news(warehouse)
        if scope.imports(TIMESTAMP_MAX) == imports:
            # Nothing landed behind this reading: what differs now, differs.
            scope = replace(scope, excuses_imports=False)
        result = prove_balances(scope)
    return scope, result


def _differences(scope: Scope, row: dict[str, Any]) -> list[str]:
    ledger = row["ledger_number"]
    if int(row["read_at_ns"]) == 0:
        return [f"account {row['account']} (ledger {ledger}) has events and no row"]
    return [
        f"account {row['account']}: {name} {scope.money(ledger, shown)}, its events add up to "
        f"{scope.money(ledger, added)} (difference {scope.money(ledger, int(shown) - int(added))})"
        for name, shown, added in zip(BALANCE_NAMES, row["shown"], row["added_up"], strict=True)
        if shown != added
    ]
