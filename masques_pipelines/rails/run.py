"""Runs all rails, one after the other, so that whatever happens to one stops only that rail.

A run continues where each rail stopped. A rail's failure is kept in its outcome, in
masques_ops.rail_runs and for its check.
"""

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from masques_pipelines.errors import MasquesError, SettingError
from masques_pipelines.inventory.tables import SETTLEMENTS
from masques_pipelines.inventory.writes import counted
from masques_pipelines.rails import catalog
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.channels import RecordedChannels
from masques_pipelines.rails.descriptor import RailKey, RailPlace
from masques_pipelines.rails.endpoint import own_secrets
from masques_pipelines.rails.ingest import RailRun, ingest
from masques_pipelines.rails.protocol import RailRefusedError, RailUnavailableError
from masques_pipelines.rails.redaction import Redactor
from masques_pipelines.rails.revisions import open_settlements, recorded_settlements
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

LEASE: Final = "settlements"
# Longer than the slowest fetch of a rail with all its retries: a run renews between fetches.
LEASE_S: Final = 300.0

# Failures of one rail that say themselves what to do; an error of the warehouse stops the run.
_RAIL_ERRORS: Final = (RailUnavailableError, RailRefusedError, SettingError)
_ROWS_TOTAL: Final = "SELECT count() FROM masques.settlements"

_PACKAGE: Final = "masques_pipelines"
_RUN_COLUMNS: Final = (
    "rail",
    "network",
    "node",
    "name",
    "finished_at",
    "state",
    "problem",
    "endpoint",
    "position",
    "behind",
    "calls",
    "observations",
    "revisions",
    "findings",
    "rejected",
    "duration_s",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RailOutcome:
    """The outcome of one network or node of a rail in one run.

    Attributes:
        rail: Name of the rail.
        run: What was done; None when the rail is off or failed.
        network: CAIP-2 id of the chain, '' for what has none.
        node: What tells several nodes of one network apart.
        name: What people call it; the rail's name when it is not given.
        disabled_reason: Why the rail is off, '' when it is on.
        error: Why it failed, '' when it did not.
    """

    rail: str
    run: RailRun | None = None
    network: str = ""
    node: str = ""
    name: str = ""
    disabled_reason: str = ""
    error: str = ""

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or self.rail


@dataclass(frozen=True)
class SettlementsRun:
    """What one run over all rails did.

    Attributes:
        outcomes: One for each network or node of each rail, in the order of the run.
        attributed: Settlements whose account became known.
        closed: Announcements that nobody settled until their deadline.
        rows_written: Revisions appended.
        rows_total: Revisions in the table.
    """

    outcomes: tuple[RailOutcome, ...]
    attributed: int
    closed: int
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
    with (
        writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10) as lease,
        counted(warehouse, SETTLEMENTS),
    ):
        before = _total(warehouse)
        redact = own_secrets(settings)
        outcomes = tuple(
            _run(warehouse, settings, place, lease, redact) for place in catalog.places(settings)
        )
        record_runs(warehouse, outcomes)
        lease.hold()
        closed = close_abandoned(warehouse)
        attributed = link_settlements(warehouse)
        total = _total(warehouse)
    return SettlementsRun(outcomes, attributed, closed, total - before, total)


def _run(
    warehouse: Warehouse, settings: Settings, place: RailPlace, lease: Lease, redact: Redactor
) -> RailOutcome:
    name, key = place.name, place.key
    try:
        reason = place.disabled_reason
        if reason is not None:
            logger.info("%s is off: %s", name, reason)
            return RailOutcome(**key._asdict(), name=name, disabled_reason=reason)
        open_now = partial(open_settlements, warehouse, key.rail, key.network)
        recorded = partial(recorded_settlements, warehouse, key.rail, key.network)
        channels = RecordedChannels(warehouse, key.rail, key.network)
        with catalog.open_rail(settings, place, open_now, recorded, channels) as rail:
            owns = partial(place.kind.owns, rail) if place.kind.owns else None
            run = ingest(
                *(warehouse, rail),
                node=key.node,
                owns=owns,
                before_write=lease.hold,
                redact=redact,
            )
    except Exception as error:  # noqa: BLE001 - whatever it is, the other rails are read
        return _failed(name, key, problem_of(error, redact))
    logger.info(
        "%s: %d revisions from %d observations, at %s (%s behind), %d calls in %.1f s",
        *(name, run.revisions, run.observations, f"{run.position:,}", f"{run.behind:,}"),
        *(run.calls, run.duration_s),
    )
    return RailOutcome(**key._asdict(), name=name, run=run)


def _failed(name: str, key: RailKey, problem: str) -> RailOutcome:
    # The reason at ERROR, where a filter of the log finds it.
    logger.error("%s failed: %s", name, problem)
    return RailOutcome(**key._asdict(), name=name, error=problem)


def problem_of(error: Exception, redact: Redactor) -> str:
    """Returns why one rail cannot be read, in one line.

    Raises:
        MasquesError: The error is of the warehouse or the lease: it stops all rails.
    """
    if isinstance(error, _RAIL_ERRORS):
        return redact(str(error))
    if isinstance(error, MasquesError):
        raise error
    return unexpected(error)


def unexpected(error: Exception) -> str:
    """Returns one line for an error that no code expected: its type and place, never its text.

    The text may hold what a node answered, and with it a key.
    """
    place = "outside the project"
    for frame in traceback.extract_tb(error.__traceback__):
        if _PACKAGE in frame.filename:
            path = frame.filename[frame.filename.rindex(_PACKAGE) :].replace("\\", "/")
            place = f"{path}:{frame.lineno} in {frame.name}"
    return (
        f"unexpected {type(error).__name__} at {place}: an answer that this rail cannot read, or a "
        "fault of ours: report it; the other rails were read, and the next run tries again"
    )


def record_runs(warehouse: Warehouse, outcomes: Sequence[RailOutcome]) -> None:
    """Writes what a run did on each network, for `masques rails status` and the checks."""
    now = datetime.now(UTC)
    warehouse.insert_rows(
        "masques_ops.rail_runs", _RUN_COLUMNS, [_run_row(each, now) for each in outcomes]
    )


def _run_row(outcome: RailOutcome, now: datetime) -> tuple[Any, ...]:
    run = outcome.run or RailRun(rail=outcome.rail, endpoint="")
    state = "read" if run.is_caught_up else "behind"
    if outcome.error or outcome.disabled_reason:
        state = "failed" if outcome.error else "off"
    problem = outcome.error or outcome.disabled_reason
    counts = (run.position, run.behind, run.calls, run.observations, run.revisions)
    return (
        *(outcome.rail, outcome.network, outcome.node, outcome.label),
        *(now, state, problem, run.endpoint),
        *(*counts, run.findings, run.rejected, run.duration_s),
    )


def close_abandoned(warehouse: Warehouse) -> int:
    """Closes announcements that nobody settled until their deadline; returns how many."""
    before = _total(warehouse)
    warehouse.command(
        sql("rails/close_abandoned"),
        {
            "recorded_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
            "decided_by_rail": [each.name for each in catalog.RAILS if each.knows_expiry],
        },
    )
    return _total(warehouse) - before


def _total(warehouse: Warehouse) -> int:
    return int(warehouse.scalar(_ROWS_TOTAL))
