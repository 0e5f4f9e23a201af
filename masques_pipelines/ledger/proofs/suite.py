"""All proofs of the ledger's copy in one call.

Here: their order, and the checkpoint that they earn together.
Not here: the proofs (one file each).
A re-run proves anew.
"""

from collections.abc import Callable
from typing import Final

from masques_pipelines.ledger.chart import Chart
from masques_pipelines.ledger.proofs.balances import prove_balances, prove_balances_reading_again
from masques_pipelines.ledger.proofs.chain import prove_chain
from masques_pipelines.ledger.proofs.checkpoints import advance_checkpoint
from masques_pipelines.ledger.proofs.completeness import (
    find_staleness,
    find_unknown_numbers,
    prove_completeness,
)
from masques_pipelines.ledger.proofs.history import prove_history
from masques_pipelines.ledger.proofs.holds import find_overdue_holds, prove_holds
from masques_pipelines.ledger.proofs.position import read_position
from masques_pipelines.ledger.proofs.result import Proof, record_proofs
from masques_pipelines.ledger.proofs.trial_balance import prove_trial_balance
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.warehouse.client import Warehouse

BALANCES: Final = "balance_proof"
TRIAL_BALANCE: Final = "trial_balance"
HOLDS: Final = "hold_lifecycle"
COMPLETENESS: Final = "completeness"
UNTAMPERED: Final = "untampered"
HOLDS_IN_TIME: Final = "holds_in_time"
CHART: Final = "chart_knows_all"
FRESHNESS: Final = "freshness"
HISTORY: Final = "account_history"


def prove_all(
    warehouse: Warehouse, *, from_beginning: bool = False, kept_digest: str | None = None
) -> dict[str, Proof]:
    """Runs every proof over the tables alone, recomputing every batch that was ever sealed.

    Args:
        warehouse: Where the copy is.
        from_beginning: Add up all events there are, not those since the newest checkpoint, and
            compare the checkpoint and the account history with them.
        kept_digest: See prove_chain.
    """
    proofs = {
        BALANCES: prove_balances(warehouse, from_beginning=from_beginning),
        **({HISTORY: prove_history(warehouse)} if from_beginning else {}),
        UNTAMPERED: prove_chain(warehouse, kept_digest=kept_digest),
        **_others(warehouse, from_beginning=from_beginning),
    }
    return _concluded(warehouse, proofs)


def prove_after_sync(
    warehouse: Warehouse,
    source: LedgerSource,
    chart: Chart,
    *,
    report: Callable[[str], None] = lambda _line: None,
) -> dict[str, Proof]:
    """Runs every proof on what is new since the newest checkpoint; reads again after imports.

    Raises:
        As sync_accounts and sync_transactions.
    """
    proofs = {
        BALANCES: prove_balances_reading_again(warehouse, source, chart, report=report),
        UNTAMPERED: prove_chain(warehouse, rows_after_ns=read_position(warehouse).base_ns),
        **_others(warehouse, from_beginning=False),
    }
    return _concluded(warehouse, proofs)


def _others(warehouse: Warehouse, *, from_beginning: bool) -> dict[str, Proof]:
    return {
        TRIAL_BALANCE: prove_trial_balance(warehouse, from_beginning=from_beginning),
        HOLDS: prove_holds(warehouse, from_beginning=from_beginning),
        COMPLETENESS: prove_completeness(warehouse, from_beginning=from_beginning),
        HOLDS_IN_TIME: find_overdue_holds(warehouse, from_beginning=from_beginning),
        CHART: find_unknown_numbers(warehouse),
        FRESHNESS: find_staleness(warehouse),
    }


def _concluded(warehouse: Warehouse, proofs: dict[str, Proof]) -> dict[str, Proof]:
    """Records the proofs. What lies before a checkpoint is not looked at again: all must hold."""
    if all(proof.holds or proof.is_warning for proof in proofs.values()):
        advance_checkpoint(warehouse)
    record_proofs(warehouse, proofs)
    return proofs
