"""Jobs for what operators do, from the launchpad as from the command line.

Each calls what the command of the same name calls, and writes down who did it and why
(masques_ops.operator_log). Months are partitions: the back-fill page does a range of them.
"""

from typing import Any, Final

import dagster as dg
from pydantic import Field

from masques_pipelines import quarantine
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import OWNERS
from masques_pipelines.errors import PermanentError
from masques_pipelines.intake.channels import read_channels
from masques_pipelines.intake.reload import reload_table
from masques_pipelines.intake.replay import replay
from masques_pipelines.intake.tables import TABLES, intake_table
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.restore import restore_transactions
from masques_pipelines.operator_log import Action, write_down
from masques_pipelines.quarantine import REMEDIES, Selection
from masques_pipelines.rails.replay import replay as replay_rails
from masques_pipelines.rails.rewind import rewind
from masques_pipelines.reputation.recompute import recompute
from masques_pipelines.schema.declared import DATABASES
from masques_pipelines.verification.months import prove_month
from masques_pipelines.verification.writers import WRITERS
from masques_pipelines.warehouse.backup import FORMS, back_up
from masques_pipelines.warehouse.client import Warehouse

# Ledger months before are rebuilt by `masques ledger rebuild --month`.
MONTHS: Final = dg.MonthlyPartitionsDefinition(start_date="2024-01", fmt="%Y-%m", end_offset=1)


class Told(dg.Config):
    """Who does it, and why."""

    by: str = Field(description="Who does it: a name that others know.")
    why: str = Field(description="Why, in words. It is kept in masques_ops.operator_log.")


class OfMonth(dg.Config):
    """Who does it, and why; a back-fill of a range has no place for it."""

    by: str = Field("", description="Who does it: a name that others know.")
    why: str = Field("", description="Why, in words. It is kept in masques_ops.operator_log.")


class Rewind(Told):
    """A rail, and from where it is read again."""

    rail: str = Field(description="Its name, as `masques rails status` lists it.")
    position: int = Field(ge=0, description="Block, slot or invoice index to read from.")


class Quarantined(Told):
    """Open entries of quarantine; what is empty means all."""

    table: str = Field("", description="Table that they were meant for, as `settlements`.")
    reason: str = Field("", description="Reason as it is listed, or its kind, as `bad_uuid`.")
    source: str = Field("", description="File as it is listed.")


class Discarded(Quarantined):
    """The table has to be named: nothing is discarded by an empty form."""

    table: str = Field(description="Table that they were meant for, as `settlements`.")


class Reload(Told):
    """A table of the landing zone."""

    table: str = Field(description=f"One of {', '.join(TABLES)}.")


class BackUp(Told):
    """Where the copy is written to."""

    to: str = Field(description=f"{FORMS[0].upper()}{FORMS[1:]}.")


@dg.op(out=dg.Out(dg.Nothing))
@explained
def rebuild_month(
    context: dg.OpExecutionContext,
    config: OfMonth,
    warehouse: WarehouseResource,
    ledger: LedgerResource,
) -> None:
    """Writes the transactions of a month from the ledger again and swaps them in."""
    opened, month = warehouse.open(context), _month(context)
    done, put_right = restore_transactions(opened, ledger.open(), ledger.chart(), month=month)
    outcome = "; ".join([*(str(each) for each in done.values()), *put_right])
    _write_down(context, opened, config, ("rebuild month", str(month), outcome))


@dg.op(out=dg.Out(dg.Nothing))
@explained
def verify_month(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
    """Proves the events and the content of all tables of a month."""
    failed = []
    for result in prove_month(warehouse.open(context), _month(context)):
        context.log.info("%s: %s", result.outcome, result.summary)
        if result.outcome == "fails":
            failed += [result.summary, *result.findings]
    if failed:
        raise PermanentError(f"{_month(context)} is not proved: {'; '.join(failed)}")


@dg.op(out=dg.Out(dg.Nothing))
@explained
def rewind_rail(
    context: dg.OpExecutionContext, config: Rewind, warehouse: WarehouseResource
) -> None:
    """Moves a rail's cursor back; what is read again unchanged appends nothing."""
    opened = warehouse.open(context)
    done = rewind(opened, run_settings(), config.rail, config.position)
    aside = f"; damaged and put aside: {', '.join(done.detached)}" if done.detached else ""
    outcome = f"from {done.before:,} to {config.position:,}{aside}"
    _write_down(context, opened, config, ("rewind rail", config.rail, outcome))


@dg.op(out=dg.Out(dg.Nothing))
@explained
def replay_quarantine(
    context: dg.OpExecutionContext, config: Quarantined, warehouse: WarehouseResource
) -> None:
    """Tries open entries again; what passes is loaded and its entry closed."""
    opened, settings, selection = warehouse.open(context), run_settings(), _selection(config)
    parts = []
    if config.table in ("", "settlements"):
        for each in replay_rails(opened, settings, reason=config.reason):
            problem = f", not read: {each.problem}" if each.problem else ""
            parts.append(f"{each.rail}: tried {each.tried:,}, closed {each.closed:,}{problem}")
    if config.table != "settlements":
        channels = read_channels(settings.landing_channels)
        done = replay(opened, open_landing(settings), selection, channels=channels)
        parts.append(f"files: tried {done.tried:,}, closed {done.closed:,}")
    _write_down(context, opened, config, ("replay quarantine", _of(config), "; ".join(parts)))


@dg.op(out=dg.Out(dg.Nothing))
@explained
def discard_quarantine(
    context: dg.OpExecutionContext, config: Discarded, warehouse: WarehouseResource
) -> None:
    """Discards open entries; they are kept, as discarded."""
    opened = warehouse.open(context)
    count = quarantine.discard(opened, _selection(config))
    _write_down(context, opened, config, ("discard quarantine", _of(config), f"{count:,} entries"))


@dg.op(out=dg.Out(dg.Nothing))
@explained
def reload(context: dg.OpExecutionContext, config: Reload, warehouse: WarehouseResource) -> None:
    """Loads all files of a table again; rows that are there already stay as they are."""
    opened, settings, table = warehouse.open(context), run_settings(), intake_table(config.table)
    channels = read_channels(settings.landing_channels)
    done = reload_table(opened, open_landing(settings), table, channels=channels)
    outcome = f"{len(done.files):,} files, {done.total('loaded'):,} rows loaded"
    _write_down(context, opened, config, ("reload table", table.name, outcome))


@dg.op(out=dg.Out(dg.Nothing))
@explained
def recompute_scores(
    context: dg.OpExecutionContext, config: Told, warehouse: WarehouseResource
) -> None:
    """Compares all facts with the written ones and computes every score again."""
    opened = warehouse.open(context)
    scored, put_right = recompute(opened, run_settings())
    outcome = "; ".join([f"{scored:,} identities scored", *put_right])
    _write_down(context, opened, config, ("recompute scores", "all identities", outcome))


@dg.op(out=dg.Out(dg.Nothing))
@explained
def back_up_warehouse(
    context: dg.OpExecutionContext, config: BackUp, warehouse: WarehouseResource
) -> None:
    """Writes all rows and definitions of the warehouse to a new place."""
    opened = warehouse.open(context)
    made = back_up(opened, config.to, DATABASES, WRITERS)
    outcome = f"{made.files:,} files, {made.size_bytes / 1e6:,.1f} MB"
    _write_down(context, opened, config, ("back up", made.place, outcome))


def _month(context: dg.OpExecutionContext) -> Month:
    if not context.has_partition_key:
        raise PermanentError(
            "no month was chosen: pick a partition, or tag the run with dagster/partition"
        )
    year, month = map(int, context.partition_key.split("-"))
    return Month(year, month)


def _selection(config: Quarantined) -> Selection:
    if config.table not in ("", *TABLES, *REMEDIES):
        known = ", ".join((*TABLES, *REMEDIES))
        raise PermanentError(f"table: {config.table!r} is none of {known}")
    return Selection(config.table, config.reason, config.source)


def _of(config: Quarantined) -> str:
    chosen = (config.table, config.reason, config.source)
    return ", ".join(each for each in chosen if each) or "all"


def _write_down(
    context: dg.OpExecutionContext,
    warehouse: Warehouse,
    config: Told | OfMonth,
    what: tuple[str, str, str],
) -> None:
    action, subject, outcome = what
    context.log.info("%s of %s: %s", action, subject, outcome)
    write_down(warehouse, Action(action, subject, config.by, config.why, outcome, context.run_id))


def _job(name: str, op: dg.OpDefinition, description: str, *, is_monthly: bool = False) -> Any:
    return dg.GraphDefinition(name=name, node_defs=[op]).to_job(
        name=name,
        description=description,
        tags={"owner": OWNERS[0].removeprefix("team:"), "part": name.removesuffix("_job")},
        partitions_def=MONTHS if is_monthly else None,
    )


JOBS: Final = (
    _job(
        "rebuild_month_job",
        rebuild_month,
        "Writes the transactions of a month from the ledger again and swaps them in, as `masques "
        "ledger rebuild --month`. Each month is a partition.",
        is_monthly=True,
    ),
    _job(
        "verify_month_job",
        verify_month,
        "Proves the events of a month against their seals, and the content of each table of that "
        "month against what was written. Each month is a partition.",
        is_monthly=True,
    ),
    _job(
        "rewind_rail_job",
        rewind_rail,
        "Reads a rail again from an earlier position, as `masques rails rewind`: the next run of "
        "settlement_ingestion_job goes on from there.",
    ),
    _job(
        "replay_quarantine_job",
        replay_quarantine,
        "Tries open entries of quarantine again after a fix, as `masques intake quarantine replay` "
        "and `masques rails replay`.",
    ),
    _job(
        "discard_quarantine_job",
        discard_quarantine,
        "Discards open entries of quarantine of one table, as `masques intake quarantine discard`. "
        "They are kept, as discarded.",
    ),
    _job(
        "reload_table_job",
        reload,
        "Loads all files of a table again, as `masques intake reload --table`.",
    ),
    _job(
        "recompute_scores_job",
        recompute_scores,
        "Computes every score from all facts again, as `masques reputation recompute`.",
    ),
    _job(
        "back_up_job",
        back_up_warehouse,
        "Writes the whole warehouse to a new place, as `masques backup`.",
    ),
)
