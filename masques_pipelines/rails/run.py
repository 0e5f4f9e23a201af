"""Runs all rails, one after the other, so that a dead node stops only its own rail.

A run continues where each rail stopped. A rail's failure is kept in its outcome, for its check.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

from masques_pipelines.errors import SettingError
from masques_pipelines.rails import catalog
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError
from masques_pipelines.rails.recording import RecordingError
from masques_pipelines.rails.revisions import open_settlements
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease

LEASE: Final = "settlements"
# Longer than the slowest fetch of a rail with all its retries: a run renews between fetches.
LEASE_S: Final = 300.0

# Failures of one rail; an error of the warehouse stops the whole run.
_RAIL_ERRORS: Final = (RailUnavailableError, RailRefusedError, RecordingError, SettingError)
_ROWS_TOTAL: Final = "SELECT count() FROM masques.settlements"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RailOutcome:
    """The outcome of one rail in one run.

    Attributes:
        rail: Name of the rail.
        run: What was done; None when the rail is off or failed.
        disabled_reason: Why the rail is off, '' when it is on.
        error: Why it failed, '' when it did not.
    """

    rail: str
    run: RailRun | None = None
    disabled_reason: str = ""
    error: str = ""


@dataclass(frozen=True)
class SettlementsRun:
    """What one run over all rails did.

    Attributes:
        outcomes: One for each rail, in the order of the catalog.
        attributed: Settlements whose account became known.
        rows_written: Revisions appended.
        rows_total: Revisions in the table.
    """

    outcomes: tuple[RailOutcome, ...]
    attributed: int
    rows_written: int
    rows_total: int


def ingest_all(warehouse: Warehouse, settings: Settings) -> SettlementsRun:
    """Brings masques.settlements up to the head of every rail that is on.

    Args:
        warehouse: The target. On a server the lease excludes a second writer: a revision's number
            follows from the revisions that are there.
        settings: Which rails are on, and where.

    Raises:
        LeaseBusyError, LeaseLostError: Another process writes settlements to the same server.
        WarehouseTransientError, WarehousePermanentError: From the warehouse. The failure of a
            rail is in its outcome instead.
    """
    with writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10) as lease:
        before = _total(warehouse)
        outcomes = tuple(_run(warehouse, settings, rail.name, lease) for rail in catalog.RAILS)
        lease.hold()
        attributed = link_settlements(warehouse)
        total = _total(warehouse)
    return SettlementsRun(outcomes, attributed, rows_written=total - before, rows_total=total)


def _run(warehouse: Warehouse, settings: Settings, name: str, lease: Lease) -> RailOutcome:
    reason = catalog.disabled_reason(settings, name)
    if reason is not None:
        logger.info("%s is off: %s", name, reason)
        return RailOutcome(name, disabled_reason=reason)
    try:
        open_now = partial(open_settlements, warehouse, name)
        with catalog.open_rail(settings, name, open_now) as rail:
            run = ingest(warehouse, rail, before_write=lease.hold)
    except _RAIL_ERRORS as error:
        logger.warning("%s failed: %s", name, error)
        return RailOutcome(name, error=str(error))
    logger.info(
        "%s: %d revisions from %d observations, at %s (%s behind), %d calls in %.1f s",
        *(name, run.revisions, run.observations, f"{run.position:,}", f"{run.behind:,}"),
        *(run.calls, run.duration_s),
    )
    return RailOutcome(name, run=run)


def _total(warehouse: Warehouse) -> int:
    return int(warehouse.scalar(_ROWS_TOTAL))
