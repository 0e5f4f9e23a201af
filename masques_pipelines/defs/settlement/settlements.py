"""The asset masques/settlements: payments on the rails, and the checks on them.

A dead node fails its rail's check and stops only that rail: the others are read first, and then the
run ends failed, because the checks are blocking.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from masques_pipelines.defs.cadence import SETTLEMENT_INGESTION
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.lineage import rail_key
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import (
    records_metadata,
    row_metadata,
    table_asset,
    table_key,
)
from masques_pipelines.money import amount_text
from masques_pipelines.rails.catalog import RAILS
from masques_pipelines.rails.ingest import RailRun
from masques_pipelines.rails.run import RailOutcome, ingest_all
from masques_pipelines.warehouse.sql import sql

KEY: Final = table_key("settlements")
# A payment may be decided some time after its deadline: Base is final after about 20 minutes.
OVERDUE_AFTER_S: Final = 3_600


# Rows are only ever appended.
_CONTENT: Final = "SELECT concat(count(), ' ', max(recorded_at)) FROM masques.settlements"


@table_asset(
    "settlements",
    group="settlement",
    cadence=SETTLEMENT_INGESTION,
    # The transactions first: a payment is linked to the transfer that the journal names.
    deps=[table_key("transactions"), *(rail_key(rail) for rail in RAILS)],
    check_specs=[
        dg.AssetCheckSpec(
            f"{rail.name}_is_read",
            asset=KEY,
            blocking=True,
            description=(
                f"The rail {rail.name} was read up to its head, or is off. A failure says why it "
                "could not be read; the other rails were read."
            ),
        )
        for rail in RAILS
    ],
)
def settlements(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows only the bare name here
    """Payments on Lightning, Solana and Base: one row for each revision of a settlement.

    The latest revision wins: read masques_marts.settlements_current, and sum that view only.
    """
    opened = warehouse.open(context)
    done = ingest_all(opened, run_settings())
    return dg.MaterializeResult(
        metadata={
            **row_metadata(rows_written=done.rows_written, rows_total=done.rows_total),
            "attributed": done.attributed,
            **{
                f"{each.rail}_{name}": value
                for each in done.outcomes
                if each.run
                for name, value in _of_run(each.run).items()
            },
        },
        check_results=[_check_of(each) for each in done.outcomes],
        data_version=dg.DataVersion(str(opened.scalar(_CONTENT))),
    )


def _of_run(run: RailRun) -> dict[str, int]:
    return {"revisions": run.revisions, "behind": run.behind, "calls": run.calls}


def _check_of(outcome: RailOutcome) -> dg.AssetCheckResult:
    run = outcome.run
    metadata: Mapping[str, Any] = {"state": outcome.disabled_reason or outcome.error or "read"}
    if run is not None:
        metadata = {
            "state": "read" if run.is_caught_up else "not caught up yet; the next run continues",
            "endpoint": run.endpoint,
            "position": run.position,
            "behind": run.behind,
            "calls": run.calls,
            "observations": run.observations,
            "revisions": run.revisions,
            "findings": run.findings,
            "quarantined": run.rejected,
            "duration_s": round(run.duration_s, 3),
            **run.notes,
        }
    return dg.AssetCheckResult(
        check_name=f"{outcome.rail}_is_read",
        passed=not outcome.error,
        severity=dg.AssetCheckSeverity.ERROR,
        description=outcome.error or outcome.disabled_reason or None,
        metadata=dict(metadata),
    )


def _checked(
    context: dg.AssetCheckExecutionContext,
    warehouse: WarehouseResource,
    query: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Passes when the query finds nothing; shows the first of what it finds."""
    found = warehouse.open(context).records(sql(f"rails/{query}"), parameters)
    return dg.AssetCheckResult(
        passed=not found,
        severity=severity,
        metadata={"found": len(found), "first": records_metadata(found[:5])},
    )


@dg.asset_check(
    asset=KEY,
    description=(
        "No settlement is open an hour after its deadline. A warning: the rail may be off, or the "
        "gate announced a payment that never came."
    ),
)
@explained
def none_is_overdue(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Warns of settlements that should be decided by now."""
    return _checked(
        context,
        warehouse,
        "none_is_overdue",
        {"before_s": int(datetime.now(UTC).timestamp()) - OVERDUE_AFTER_S},
        severity=dg.AssetCheckSeverity.WARN,
    )


@dg.asset_check(
    asset=KEY,
    description=(
        "A settlement that was final changed its outcome only with a finding that says so "
        "(masques_ops.settlement_findings)."
    ),
)
@explained
def final_stays_final(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails on a changed outcome after a final one that nobody noticed."""
    return _checked(context, warehouse, "final_stays_final")


@dg.asset_check(
    asset=KEY,
    description="Confirmed amounts are positive, and no two rows for one revision differ.",
)
@explained
def amounts_are_sound(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails on confirmed payments of nothing and on two rows for one revision that differ."""
    return _checked(context, warehouse, "amounts_are_sound")


@dg.asset_check(
    asset=KEY,
    description=(
        "The totals of masques_marts.settlements_current are those of the latest revisions, by "
        "rail and currency. Shows what came in and went out."
    ),
)
@explained
def treasury_totals(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails when two ways to sum the treasury's payments differ."""
    totals = warehouse.open(context).records(sql("rails/treasury_totals"))
    differing = [each for each in totals if each["difference"] != 0]
    return dg.AssetCheckResult(
        passed=not differing,
        metadata={
            f"{each['rail']} {each['currency']} {name}": amount_text(each[name])
            for each in totals
            for name in ("came_in", "went_out", "net", "pending_in")
        }
        | {"differing": len(differing)},
    )
