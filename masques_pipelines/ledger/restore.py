"""Restores tables of the ledger from it, and takes what was found wrong with them as put right.

Statements that changed rows are accepted, and parts that were put aside dropped, only of a table
that is what the ledger sent again.
"""

from typing import Final

from masques_pipelines.inventory.acceptance import accept_restored
from masques_pipelines.ledger.accounts import rebuild_accounts
from masques_pipelines.ledger.chart import Chart
from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.proofs.completeness import COMPLETENESS
from masques_pipelines.ledger.proofs.integrity import INTEGRITY
from masques_pipelines.ledger.proofs.last_reading import LAST_READING
from masques_pipelines.ledger.proofs.proof import Proof
from masques_pipelines.ledger.proofs.scope import read_scope
from masques_pipelines.ledger.proofs.suite import make_proof
from masques_pipelines.ledger.rebuild import MonthRebuilt, rebuild_transactions
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.warehouse.client import Warehouse

_BY: Final = "masques ledger rebuild"


def restore_accounts(
    warehouse: Warehouse, source: LedgerSource, chart: Chart
) -> tuple[int, tuple[str, ...]]:
    """Swaps all accounts in; returns how many, and what is put right."""
    count = rebuild_accounts(warehouse, source, chart)
    return count, _accepted(warehouse, "masques.accounts", LAST_READING)


def restore_transactions(
    warehouse: Warehouse,
    source: LedgerSource,
    chart: Chart,
    *,
    ledger: int | None = None,
    month: Month | None = None,
) -> tuple[dict[Month, MonthRebuilt], tuple[str, ...]]:
    """Swaps months of transactions in, as rebuild_transactions; returns what is put right, too."""
    done = rebuild_transactions(warehouse, source, chart, ledger=ledger, month=month)
    return done, _accepted(warehouse, "masques.transactions", INTEGRITY, COMPLETENESS)


def _accepted(warehouse: Warehouse, name: str, *proofs: Proof) -> tuple[str, ...]:
    def is_restored() -> bool:
        scope = read_scope(warehouse, from_beginning=True)
        return all(make_proof(proof, scope).holds for proof in proofs)

    return accept_restored(warehouse, name, by=_BY, is_restored=is_restored)
