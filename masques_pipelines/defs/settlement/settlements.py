"""The asset masques/settlements: money that moved on the rails, and the checks on it.

Here: the asset, one check for each rail, the checks of the table.
Not here: rails, revisions, links (rails/).
A re-run goes on where each rail stopped and appends only what changed.

A dead node fails its rail's check and stops only that rail: the others are done first, and then the
run ends failed, because the checks are blocking.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from masques_pipelines.defs.failures import RETRY_POLICY, explained_failures
from masques_pipelines.defs.migrations import SCHEMA_MIGRATIONS
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_metadata import OWNERS, static_metadata, table_metadata
from masques_pipelines.money import amount_text
from masques_pipelines.rails.catalog import RAILS
from masques_pipelines.rails.ingest import RailRun
from masques_pipelines.rails.run import RailOutcome, ingest_all
from masques_pipelines.warehouse.sql import sql

KEY: Final = dg.AssetKey(["masques", "settlements"])
# A payment may be decided some time after its deadline: Base is final after about 20 minutes.
OVERDUE_AFTER_S: Final = 3_600


@dg.asset(
    key=KEY,
    # After the transactions: a payment is linked to the transfer that the journal names.
    deps=[SCHEMA_MIGRATIONS, dg.AssetKey(["masques", "transactions"])],
    group_name="settlement",
    kinds={"clickhouse", *(rail.name for rail in RAILS if rail.endpoint_variable)},
    owners=OWNERS,
    metadata=static_metadata("masques.settlements"),
    retry_policy=RETRY_POLICY,
    check_specs=[
        dg.AssetCheckSpec(
            f"settlements__{rail.name}_is_read",
            asset=KEY,
            blocking=True,
            description=f"The rail {rail.name} is off, or was read up to its head.",
        )
        for rail in RAILS
    ],
)
def settlements(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster knows only the bare name here
    """Payments on Lightning, Solana and Base: one row for each revision of a settlement.

    The newest revision speaks: read masques_marts.settlements_current, and sum that view only.
    """
    with explained_failures(context):
        done = ingest_all(warehouse.open(context), run_settings())
    return dg.MaterializeResult(
        metadata={
            **table_metadata(
                "masques.settlements", rows_written=done.rows_written, rows_total=done.rows_total
            ),
            "attributed": done.attributed,
            **{
                f"{each.rail}_{name}": value
                for each in done.outcomes
                if each.run
                for name, value in _of_run(each.run).items()
            },
        },
        check_results=[_check_of(each) for each in done.outcomes],
    )


def _of_run(run: RailRun) -> dict[str, int]:
    return {"revisions": run.revisions, "behind": run.behind, "calls": run.calls}


def _check_of(outcome: RailOutcome) -> dg.AssetCheckResult:
    run = outcome.run
    metadata: Mapping[str, Any] = {"state": outcome.disabled_reason or outcome.error or "read"}
    if run is not None:
        metadata = {
            "state": "read" if run.is_caught_up else "not caught up yet; the next run goes on",
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
        check_name=f"settlements__{outcome.rail}_is_read",
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
    with explained_failures(context):
        found = warehouse.open(context).records(sql(f"rails/{query}"), parameters)
    return dg.AssetCheckResult(
        passed=not found,
        severity=severity,
        metadata={
            "found": len(found),
            "first": dg.MetadataValue.json([_text(f) for f in found[:5]]),
        },
    )


def _text(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in record.items()}


@dg.asset_check(asset=KEY, description="No settlement is open long after its deadline.")
def settlements__none_is_overdue(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Warns of payments that should be decided: a rail that is off, or an announcement astray."""
    return _checked(
        context,
        warehouse,
        "none_is_overdue",
        {"before_s": int(datetime.now(UTC).timestamp()) - OVERDUE_AFTER_S},
        severity=dg.AssetCheckSeverity.WARN,
    )


@dg.asset_check(asset=KEY, description="What was final changed only with a finding that says so.")
def settlements__final_stays_final(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails on a changed outcome after a final one that nobody noticed."""
    return _checked(context, warehouse, "final_stays_final")


@dg.asset_check(asset=KEY, description="Amounts are positive, and no revision is there twice.")
def settlements__amounts_are_sound(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails on confirmed payments of nothing and on two rows for one revision that differ."""
    return _checked(context, warehouse, "amounts_are_sound")


@dg.asset_check(asset=KEY, description="The view's totals are those of the newest revisions.")
def settlements__treasury_totals(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Shows what came in and went out by rail and asset; fails when two ways to sum it differ."""
    with explained_failures(context):
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
