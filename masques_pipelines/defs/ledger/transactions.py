"""The asset masques/transactions: every change event of the ledger, exactly once, and its proofs.

Here: the asset, and the checks that prove it and the accounts from each other.
Not here: how events are read (ledger/reader.py) and written (ledger/transactions.py), and the
proofs (ledger/proofs/).
A re-run resumes at the newest event; what is there already is dropped by its time. The checks prove
what is new since the newest checkpoint.
"""

from collections.abc import Iterator
from typing import Final

import dagster as dg

from masques_pipelines.defs.cadence import LEDGER_SYNC
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.lineage import LEDGER
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource
from masques_pipelines.defs.table_asset import (
    row_metadata,
    sync_metadata,
    table_asset,
    table_key,
)
from masques_pipelines.ledger.proofs import suite as all_proofs
from masques_pipelines.ledger.proofs.result import Proof
from masques_pipelines.ledger.transactions import sync_transactions

_ACCOUNTS: Final = table_key("accounts")
_TRANSACTIONS: Final = table_key("transactions")


# After the accounts, so that the events reach past the balances' ledger time: then the balances can
# be proved from the events.
@table_asset("transactions", group="ledger", cadence=LEDGER_SYNC, deps=[LEDGER, _ACCOUNTS])
def transactions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> dg.MaterializeResult[None]:
    """One row per change event of the ledger: payments, holds, posts, voids and expiries.

    A hold and its post are two rows: sum the views of masques_marts, never this table.
    """
    done = sync_transactions(warehouse.open(context), ledger.open(), ledger.chart())
    context.log.info("%d rows written, %d transactions in all", done.rows_written, done.rows_total)
    return dg.MaterializeResult(
        metadata={
            **row_metadata(rows_written=done.rows_written, rows_total=done.rows_total),
            **sync_metadata(
                watermark_ns=done.watermark_ns,
                lag_s=done.lag_s,
                pages=done.pages,
                rows_per_s=done.rows_per_s,
            ),
            "events_read": done.events_read,
            # Kept here too, out of reach of who can write to ClickHouse: `masques verify --seal`.
            "seal": done.seal,
        },
        data_version=dg.DataVersion(done.seal or "no event is sealed"),
    )


def _check(
    table: dg.AssetKey, proof: str, description: str, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        proof,
        asset=table,
        description=description,
        blocking=blocking,
        # The balances are proved by the events: both tables come first.
        additional_deps=[key for key in (_ACCOUNTS, _TRANSACTIONS) if key != table],
    )


CHECKS: Final = {
    all_proofs.BALANCES: _check(
        _ACCOUNTS, all_proofs.BALANCES, "Every balance is the sum of its events, to the last unit."
    ),
    all_proofs.TRIAL_BALANCE: _check(
        _TRANSACTIONS,
        all_proofs.TRIAL_BALANCE,
        "Debits equal credits in each ledger at one ledger time, posted and pending.",
        blocking=True,
    ),
    all_proofs.HOLDS: _check(
        _TRANSACTIONS, all_proofs.HOLDS, "Each hold is open, posted, voided or expired, once."
    ),
    all_proofs.COMPLETENESS: _check(
        _TRANSACTIONS, all_proofs.COMPLETENESS, "Every event that the ledger sent is there, once."
    ),
    all_proofs.UNTAMPERED: _check(
        _TRANSACTIONS, all_proofs.UNTAMPERED, "Every row is as the ledger sent it."
    ),
    all_proofs.HOLDS_IN_TIME: _check(
        _TRANSACTIONS, all_proofs.HOLDS_IN_TIME, "No open hold is past its timeout."
    ),
    all_proofs.CHART: _check(
        _TRANSACTIONS, all_proofs.CHART, "The chart knows every ledger and code, and did in time."
    ),
    all_proofs.FRESHNESS: _check(
        _TRANSACTIONS,
        all_proofs.FRESHNESS,
        "The newest sync is recent and reached the ledger's now.",
    ),
}


# A subset, so that one of the two tables can be selected alone; all proofs are made all the same,
# and events that the balances need are read.
@dg.multi_asset_check(name="ledger_proofs", specs=list(CHECKS.values()), can_subset=True)
@explained
def ledger_proofs(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> Iterator[dg.AssetCheckResult]:
    """Proves the two tables from each other and from what the ledger sent."""
    proofs = all_proofs.prove_after_sync(warehouse.open(context), ledger.open(), ledger.chart())
    for name, proof in proofs.items():
        if CHECKS[name].key in context.selected_asset_check_keys:
            yield _result(CHECKS[name], proof)


def _result(check: dg.AssetCheckSpec, proof: Proof) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if proof.is_warning else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        passed=proof.holds,
        asset_key=check.asset_key,
        check_name=check.name,
        severity=severity,
        description="\n".join((proof.summary, *proof.findings)),
        # Ledger times are beyond what the UI shows of a number exactly.
        metadata={
            key: str(value) if key.endswith("_ns") else value
            for key, value in proof.numbers.items()
        },
    )
