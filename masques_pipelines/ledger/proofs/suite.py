"""The proofs of the ledger's copy: the list of all, and one pass over them.

A new proof is one file and one line of PROOFS. Dagster's checks, `masques verify` and
masques_ops.proofs follow from that.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from masques_pipelines.ledger.chart import Chart
from masques_pipelines.ledger.proofs.balances import BALANCES, prove_balances_reading_again
from masques_pipelines.ledger.proofs.chart_findings import CHART
from masques_pipelines.ledger.proofs.checkpoints import advance_checkpoint
from masques_pipelines.ledger.proofs.completeness import COMPLETENESS
from masques_pipelines.ledger.proofs.freshness import FRESHNESS
from masques_pipelines.ledger.proofs.history import ACCOUNT_HISTORY
from masques_pipelines.ledger.proofs.holds import HOLDS, NO_OVERDUE_HOLDS
from masques_pipelines.ledger.proofs.integrity import INTEGRITY
from masques_pipelines.ledger.proofs.last_reading import LAST_READING
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.scope import Scope, read_scope
from masques_pipelines.ledger.proofs.trial_balance import TRIAL_BALANCE
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.warehouse.client import Warehouse

PROOFS: Final = (
    BALANCES,
    LAST_READING,
    ACCOUNT_HISTORY,
    INTEGRITY,
    TRIAL_BALANCE,
    HOLDS,
    COMPLETENESS,
    NO_OVERDUE_HOLDS,
    CHART,
    FRESHNESS,
)

Results = Mapping[Proof, ProofResult]


def prove_all(
    warehouse: Warehouse, *, from_beginning: bool = False, kept: Mapping[str, int] | None = None
) -> Results:
    """Makes every proof over the tables alone, recomputing every batch that was ever sealed.

    Args:
        warehouse: Where the copy is.
        from_beginning: Add up all events there are, not those since the newest checkpoint, and
            compare the checkpoint and the account history with them.
        kept: Digests of seals that were kept elsewhere and must be in the chain, each with its
            sequence number; 0 when that is not known.
    """
    scope = read_scope(warehouse, from_beginning=from_beginning, kept=kept)
    return _concluded(
        scope,
        {
            proof: make_proof(proof, scope)
            for proof in PROOFS
            if from_beginning or not proof.only_full
        },
    )


def prove_after_sync(
    warehouse: Warehouse,
    source: LedgerSource,
    chart: Chart,
    *,
    kept: Mapping[str, int] | None = None,
) -> Results:
    """Makes every proof on what is new since the newest checkpoint; reads again after imports.

    Args:
        warehouse: Where the copy is.
        source: The ledger.
        chart: What its numbers mean.
        kept: As of prove_all.

    Raises:
        As sync_accounts and sync_transactions.
    """
    scope, balances = prove_balances_reading_again(warehouse, source, chart)
    scope = replace(scope, kept=dict(kept or {}), after_sync=True)
    return _concluded(
        scope,
        {
            proof: balances if proof is BALANCES else make_proof(proof, scope)
            for proof in PROOFS
            if not proof.only_full
        },
    )


def make_proof(proof: Proof, scope: Scope) -> ProofResult:
    """Makes a proof; over nothing there is none, so that no empty warehouse passes for a copy."""
    if scope.position.nothing:
        text = f"nothing to prove: {scope.position.nothing}"
        return ProofResult("inconclusive", text, is_of_nothing=True)
    return proof.prove(scope)


def _covered(proof: Proof, scope: Scope) -> str:
    """Returns what a proof looked at, when it did not begin with the first event."""
    since_ns = scope.recompute_after_ns if proof is INTEGRITY else scope.position.base_ns
    if not since_ns:
        return ""
    at = datetime.fromtimestamp(since_ns // 10**9, UTC)
    return (
        f"covers what is new since the checkpoint of {at:%Y-%m-%d %H:%M:%S} UTC; what is older is "
        "proved by verification_job and `masques verify --full`"
    )


def all_hold(results: Results) -> bool:
    """Returns whether every proof holds; warnings do not count."""
    return all(result.holds or proof.is_warning for proof, result in results.items())


def _concluded(scope: Scope, results: Results) -> Results:
    """Records the results. What lies before a checkpoint is not looked at again: all must hold."""
    if all_hold(results):
        proved_sequence = int(results[INTEGRITY].numbers["seals"])
        advance_checkpoint(scope.warehouse, scope.position, proved_sequence=proved_sequence)
    results = {
        proof: replace(result, covers=_covered(proof, scope)) for proof, result in results.items()
    }
    recorded_at = datetime.now(UTC)
    scope.warehouse.insert_rows(
        "masques_ops.proofs",
        ["proof", "outcome", "detail", "recorded_at"],
        [
            [proof.name, result.outcome, "\n".join((result.summary, *result.findings)), recorded_at]
            for proof, result in results.items()
        ],
    )
    return results
