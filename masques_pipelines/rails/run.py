"""One run over all rails: each by itself, so that a dead node stops only its own.

Here: the order of the rails, and what of a rail's failure is kept for its check.
Not here: one rail's work (ingestion.py), Dagster.
A re-run goes on where each rail stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.catalog import RAILS, off_because, open_rail
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError
from masques_pipelines.rails.recording import RecordingError
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

# What of a rail is the rail's own trouble; the warehouse's errors stop the whole run.
LEASE: Final = "settlements"
# Longer than the slowest step of a rail, all its retries included: a run renews between steps.
LEASE_S: Final = 300.0

_OF_THE_RAIL: Final = (RailUnavailableError, RailRefusedError, RecordingError, SettingError)


@dataclass(frozen=True)
class RailOutcome:
    """What became of one rail in one run.

    Attributes:
        rail: base, solana, lightning or journal.
        run: What was done; None when the rail is off or failed.
        off_because: Why it is off, '' when it is on.
        error: Why it failed, '' when it did not.
    """

    rail: str
    run: RailRun | None = None
    off_because: str = ""
    error: str = ""


@dataclass(frozen=True)
class SettlementsRun:
    """What one run over all rails did.

    Attributes:
        outcomes: One for each rail, in the order of the run.
        attributed: Settlements whose account became known.
        rows_written: Revisions appended.
        rows_total: Revisions in the table.
    """

    outcomes: tuple[RailOutcome, ...]
    attributed: int
    rows_written: int
    rows_total: int


def ingest_all(
    warehouse: Warehouse,
    settings: Settings,
    *,
    report: Callable[[str], None] = lambda _line: None,
) -> SettlementsRun:
    """Brings masques.settlements up to the head of every rail that is on.

    Args:
        warehouse: The target. Against a server the lease keeps a second writer out: revisions are
            numbered by what is there already.
        settings: Which rails are on, and where.
        report: Called with a line for each rail, and during long back-fills.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes settlements to the same server.
        WarehouseTransientError, WarehousePermanentError: From the warehouse. What goes wrong with a
            rail is in its outcome instead.
    """
    with writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10) as lease:
        before = _total(warehouse)
        outcomes = tuple(_one(warehouse, settings, name, report, lease) for name in RAILS)
        lease.hold()
        attributed = link_settlements(warehouse)
        total = _total(warehouse)
    return SettlementsRun(outcomes, attributed, rows_written=total - before, rows_total=total)


def _one(
    warehouse: Warehouse,
    settings: Settings,
    name: str,
    report: Callable[[str], None],
    lease: Lease,
) -> RailOutcome:
    reason = off_because(settings, name)
    if reason is not None:
        report(f"{name} is off: {reason}")
        return RailOutcome(name, off_because=reason)
    try:
        with open_rail(settings, name, lambda: open_settlements(warehouse, name)) as rail:
            run = ingest(warehouse, rail, report=report, before_write=lease.hold)
    except _OF_THE_RAIL as error:
        report(f"{name} failed: {error}")
        return RailOutcome(name, error=str(error))
    report(
        f"{name}: {run.revisions} revisions from {run.observations} observations, at "
        f"{run.position:,} ({run.behind:,} behind), {run.calls} calls in {run.duration_s:.1f} s"
    )
    return RailOutcome(name, run=run)


def _total(warehouse: Warehouse) -> int:
    return int(warehouse.scalar(sql("rails/settlements_total")))
