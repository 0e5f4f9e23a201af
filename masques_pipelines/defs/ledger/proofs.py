"""The checks of masques/accounts and masques/transactions: the proofs of ledger/proofs/suite.py.

One pass makes all of them, over what is new since the newest checkpoint.
"""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.ledger.kept_seals import kept_seals
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import table_key
from masques_pipelines.ledger.proofs.proof import Proof, ProofResult
from masques_pipelines.ledger.proofs.suite import PROOFS, prove_after_sync

# The balances are proved by the events: both tables come first.
_TABLES: Final = tuple(table_key(name) for name in ("accounts", "transactions"))


def _check(proof: Proof) -> dg.AssetCheckSpec:
    table = table_key(proof.table)
    return dg.AssetCheckSpec(
        proof.name,
        asset=table,
        description=f"{proof.statement}. If it fails: {proof.advice}",
        blocking=proof.is_blocking,
        additional_deps=[key for key in _TABLES if key != table],
    )


CHECKS: Final = {proof: _check(proof) for proof in PROOFS if not proof.only_full}


# A subset, so that one of the two tables can be selected alone; all proofs are made all the same,
# and events that the balances need are read.
@dg.multi_asset_check(name="ledger_proofs", specs=list(CHECKS.values()), can_subset=True)
@explained
def ledger_proofs(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> Iterator[dg.AssetCheckResult]:
    """Proves the two tables from each other and from what the ledger sent."""
    # A sandbox's home may be removed at any time, and Dagster's history stays.
    is_sandbox = run_settings().sandbox_folder is not None
    kept = {} if is_sandbox else kept_seals(context.instance)
    results = prove_after_sync(warehouse.open(context), ledger.open(), ledger.chart(), kept=kept)
    for proof, check in CHECKS.items():
        if check.key in context.selected_asset_check_keys:
            yield _result(proof, check, results[proof])


def _severity(proof: Proof, result: ProofResult) -> dg.AssetCheckSeverity:
    """A proof that could not be made yet contradicts nothing: nothing waits for it."""
    is_error = result.outcome == "fails" and not proof.is_warning
    return dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN


def _result(proof: Proof, check: dg.AssetCheckSpec, result: ProofResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=result.holds,
        asset_key=check.asset_key,
        check_name=check.name,
        severity=_severity(proof, result),
        description="\n".join(filter(None, (result.summary, *result.findings, result.covers))),
        # Ledger times are beyond what the UI shows of a number exactly.
        metadata={
            key: str(value) if key.endswith("_ns") else value
            for key, value in result.numbers.items()
        },
    )
