"""The checks of whole passes: verification_job makes one a night, every job says how old it is."""

from typing import Final

import dagster as dg

from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.ledger.kept_seals import kept_seals
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import SCHEMA_MIGRATIONS
from masques_pipelines.verification.passes import (
    PASS_DAYS_MAX,
    Passes,
    WholePass,
    advance_pass,
    read_passes,
)

# One run of verification_job begins no slice after this, so that other jobs get the warehouse.
BUDGET_S: Final = 300.0
EVERYTHING_IS_PROVED: Final = dg.AssetCheckKey(SCHEMA_MIGRATIONS, "everything_is_proved")


@dg.asset_check(
    asset=SCHEMA_MIGRATIONS,
    name=EVERYTHING_IS_PROVED.name,
    description=(
        "A whole pass, as `masques verify --full`, in slices: every seal, balance, hold, row and "
        "file from the beginning. A run makes slices for five minutes; the next goes on where it "
        "stopped, or was killed. Fails on what the pass found so far."
    ),
)
@explained
def everything_is_proved(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Makes slices of the whole pass."""
    opened = warehouse.open(context)
    # A sandbox's home may be removed at any time, and Dagster's history stays.
    is_sandbox = run_settings().sandbox_folder is not None
    kept = {} if is_sandbox else kept_seals(context.instance)
    made = advance_pass(opened, budget_s=BUDGET_S, kept=kept)
    passes = read_passes(opened)
    context.log.info("%d slices made; %s", made, passes.text)
    return dg.AssetCheckResult(
        passed=not _failed(passes),
        description=_text(passes),
        metadata={"slices_made": made, "slices_left": passes.running.left if passes.running else 0},
    )


@dg.asset_check(
    asset=SCHEMA_MIGRATIONS,
    name="whole_pass_is_recent",
    description=(
        f"A whole pass over everything ended within {PASS_DAYS_MAX} days, and found nothing wrong. "
        "The other checks of each run cover what is new, what is due today, and counts. "
        "If it warns: start verification_schedule, or run `masques verify --full`."
    ),
)
@explained
def whole_pass_is_recent(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Warns when there was no whole pass for days, fails on what the last one found."""
    passes = read_passes(warehouse.open(context))
    failed = _failed(passes)
    return dg.AssetCheckResult(
        passed=not failed and not passes.is_overdue,
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=_text(passes),
        metadata={"days_max": PASS_DAYS_MAX},
    )


def _failed(passes: Passes) -> list[WholePass]:
    """Returns the passes that found something: the one that runs, and the last complete one."""
    return [one for one in (passes.running, passes.complete) if one is not None and one.failed]


def _text(passes: Passes) -> str:
    findings = [line for one in _failed(passes) for line in one.findings]
    return "\n".join((passes.text, *dict.fromkeys(findings)))
