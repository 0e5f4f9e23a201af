"""The asset masques/settlements: payments on the rails, and the checks on them.

One thing broken is one thing red: a rail that failed fails its own check, the other rails are read
and the checks of the data run. The run ends failed, with the reasons in its last line. A rail that
is off has no check result: the asset's metadata say that it is off.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from masques_pipelines.defs.cadence import SETTLEMENT_INGESTION
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.lineage import rail_key
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import (
    MAY_BE_SILENT,
    records_metadata,
    row_metadata,
    table_asset,
    table_key,
)
from masques_pipelines.money import amount_text
from masques_pipelines.rails.catalog import RAILS
from masques_pipelines.rails.evidence import CHAIN_SAYS, ChainBalance
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
            "closed": done.closed,
            **{each.label: _state_of(each) for each in done.outcomes},
            **{
                f"{each.label}_{name}": value
                for each in done.outcomes
                if each.run
                for name, value in _of_run(each.run).items()
            },
        },
        data_version=dg.DataVersion(str(opened.scalar(_CONTENT))),
    )


def _of_run(run: RailRun) -> dict[str, int]:
    return {"revisions": run.revisions, "behind": run.behind, "calls": run.calls, **run.notes}


def _state_of(outcome: RailOutcome) -> str:
    if outcome.disabled_reason:
        return f"off: {outcome.disabled_reason}"
    if outcome.error:
        return f"failed: {outcome.error}"
    is_caught_up = outcome.run is not None and outcome.run.is_caught_up
    where = f"{outcome.network}: " if outcome.network else ""
    return f"{where}{'read' if is_caught_up else 'not caught up yet; the next run continues'}"


@dg.multi_asset_check(
    name="rails_are_read",
    specs=[
        dg.AssetCheckSpec(
            f"{rail.name}_is_read",
            asset=KEY,
            description=(
                f"The rail {rail.name} was read up to its head on each of its networks in the "
                "newest run. A failure says which could not be read, and why; the others were "
                "read. No result while it is off."
            ),
            metadata={MAY_BE_SILENT: True},
        )
        for rail in RAILS
    ],
    # A rail that is off has no result.
    can_subset=True,
    # After the checks of the data, so that the reasons are the last line of the run.
    op_tags={"dagster/priority": "-1"},
)
@explained
def rails_are_read(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """Fails the check of each rail that failed, and then the run with all reasons."""
    selected = {key.name for key in context.selected_asset_check_keys}
    newest = warehouse.open(context).records(sql("rails/newest_runs"))
    failures = []
    for rail in RAILS:
        name = f"{rail.name}_is_read"
        runs = [each for each in newest if each["rail"] == rail.name and each["state"] != "off"]
        if name not in selected or not runs:
            continue
        failed = [_problem_of(each) for each in runs if each["state"] == "failed"]
        failures += failed
        for each in failed:
            context.log.error("%s", each)
        yield dg.AssetCheckResult(
            check_name=name,
            passed=not failed,
            severity=dg.AssetCheckSeverity.ERROR,
            description="; ".join(failed) or None,
            metadata=_runs_metadata(runs),
        )
    if failures:
        raise dg.Failure(
            description="; ".join(failures)
            + ". The other rails were read; masques rails status shows all of them",
            allow_retries=False,
        )


def _problem_of(run: Mapping[str, Any]) -> str:
    where = f" ({run['network']})" if run["network"] else ""
    return f"{run['name']}{where}: {run['problem']}"


def _runs_metadata(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what a run did on each network; of the only one without its name."""
    numbers = ("position", "behind", "calls", "observations", "revisions", "findings", "rejected")
    found: dict[str, Any] = {}
    for run in runs:
        facts = {
            "network": str(run["network"]),
            "state": str(run["state"]),
            "endpoint": str(run["endpoint"]),
            **{name: int(run[name]) for name in numbers},
            "duration_s": round(float(run["duration_s"]), 3),
        }
        prefix = f"{run['name']} " if len(runs) > 1 else ""
        found |= {f"{prefix}{name}": value for name, value in facts.items()}
    return found


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
        "No payer of a payment channel has asked back money that vouchers of ours are for, with "
        "half of the delay over. A warning: claim the channel before the deadline, or it is lost."
    ),
)
@explained
def vouchers_are_claimed(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Warns of vouchers that will be lost if nobody claims them."""
    return _checked(
        context,
        warehouse,
        "vouchers_are_claimed",
        {"now_s": int(datetime.now(UTC).timestamp())},
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
        "What the chain says: per network and asset the opening balance, with what came in and "
        "went out since, is the balance at the newest final block. A balance that the node could "
        "not give is said to be inconclusive."
    ),
)
@explained
def chain_agrees(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails when the settlements and the chain differ by one unit."""
    rows = [ChainBalance(**each) for each in warehouse.open(context).records(sql(CHAIN_SAYS))]
    differing = [each.text for each in rows if each.state == "differs"]
    for text in differing:
        context.log.error(text)
    return dg.AssetCheckResult(
        passed=not differing,
        description="; ".join(each.text for each in rows) or "no rail has read a balance yet",
        metadata={
            f"{each.key} {name}": amount_text(getattr(each, name))
            for each in rows
            for name in ("opening", "came_in", "went_out", "balance", "difference")
        }
        | {f"{each.key} state": each.state for each in rows}
        | {"differing": len(differing)},
    )
