"""Refreshes the scores: one full computation by the refreshable view, swapped in as a whole.

A refresh that fails or is killed leaves the previous scores in place; the next run removes the
table that it was filling.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

VIEW: Final = "masques.reputation_scores_mv"
MOVERS_SHOWN: Final = 5
BEGIN_WAIT_S: Final = 10.0
END_WAIT_S: Final = 600.0
POLL_S: Final = 0.02
_RUNNING: Final = ("Running", "RunningOnAnotherReplica")
_STOPPED: Final = "Disabled"
_BAR_LENGTH: Final = 30
# A refresh computes into such a table and swaps it in at its end.
_LEFTOVERS: Final = """
SELECT name FROM system.tables WHERE database = 'masques' AND startsWith(name, '.tmp') ORDER BY name
"""
_DISTRIBUTION: Final = """
SELECT least(9, toUInt8(floor(overall_score * 10))) AS tenth, count() AS identities
FROM masques.reputation_scores FINAL
GROUP BY tenth
ORDER BY tenth
"""
logger = logging.getLogger(__name__)


class ScoresNotRefreshedError(PermanentError):
    """The engine did not refresh the scores and gave no error."""


@dataclass(frozen=True)
class Refresh:
    """The result of a refresh.

    Attributes:
        identities: Identities with a score.
        with_evidence: Identities with any evidence.
        computed_at: The moment that the scores are of.
        events: Events in the window, excluded ones included.
        excluded_events: Events that count zero.
        unpriced: Payments behind the events without an exchange rate.
        model_version: The model that made the scores.
        leftovers: Tables of killed refreshes that were removed.
        duration_s: How long it took.
    """

    identities: int
    with_evidence: int
    computed_at: datetime
    events: int
    excluded_events: int
    unpriced: int
    model_version: str
    leftovers: int
    duration_s: float


def refresh_scores(warehouse: Warehouse) -> Refresh:
    """Computes all scores, waits for them and adds them to the history.

    Raises:
        WarehousePermanentError: The computation failed; the text is the engine's.
        ScoresNotRefreshedError: The view is stopped by something else, or is gone.
    """
    started_s = time.monotonic()
    leftovers = clear_leftovers(warehouse)
    if leftovers:
        logger.info("removed %d tables that killed refreshes left behind", leftovers)
    _refresh_and_wait(warehouse)
    warehouse.command(sql("reputation/write_history"))
    row = warehouse.row(sql("reputation/scores_summary"))
    return Refresh(
        identities=int(row[0]),
        computed_at=row[1],
        with_evidence=int(row[2]),
        events=int(row[3]),
        excluded_events=int(row[4]),
        model_version=str(row[5]),
        unpriced=int(warehouse.scalar(sql("reputation/unpriced"))),
        leftovers=leftovers,
        duration_s=time.monotonic() - started_s,
    )


def clear_leftovers(warehouse: Warehouse) -> int:
    """Removes the tables of killed refreshes; returns their number.

    A server may be refreshing at this moment: then a table is in use, and the server removes it.
    """
    if _state(warehouse).status in _RUNNING:
        return 0
    names = [str(row[0]) for row in warehouse.rows(_LEFTOVERS)]
    for name in names:
        warehouse.command("DROP TABLE IF EXISTS masques.{name:Identifier} SYNC", {"name": name})
    return len(names)


def distribution(warehouse: Warehouse) -> str:
    """Returns a histogram of the scores as Markdown, under 1000 characters.

    Dagster's UI shows longer Markdown as a link.
    """
    rows = warehouse.rows(_DISTRIBUTION)
    counts = {int(tenth): int(identities) for tenth, identities in rows}
    most = max(counts.values(), default=1)
    lines = [
        f"{tenth / 10:.1f}-{(tenth + 1) / 10:.1f} "
        f"{'█' * round(_BAR_LENGTH * counts.get(tenth, 0) / most)} {counts.get(tenth, 0):,}"
        for tenth in range(10)
    ]
    return "\n".join(["```", *lines, "```"])


def movers(warehouse: Warehouse) -> list[dict[str, object]]:
    """Returns the scores that moved most within a week, the largest move first."""
    return warehouse.records(sql("reputation/movers"), {"rows": MOVERS_SHOWN})


@dataclass(frozen=True)
class _State:
    """The state of the view; times in nanoseconds since 1970, by the clock of the warehouse."""

    status: str
    last_success_ns: int
    computed_at_ns: int
    now_ns: int
    has_failed: bool

    def is_refreshed_since(self, began_ns: int) -> bool:
        """Returns whether a refresh that began after that time has completed."""
        # Without identities there is no row to read; the time of the engine has only seconds.
        has_empty_success = self.computed_at_ns <= 0 and (
            self.last_success_ns >= began_ns // 10**9 * 10**9
        )
        return self.computed_at_ns >= began_ns or has_empty_success


def _refresh_and_wait(warehouse: Warehouse) -> None:
    """Runs one refresh that begins now or later, and waits until its scores are in place."""
    before = _state(warehouse)
    # An embedded engine starts with its views stopped (or it would refresh at every open); a
    # stopped view ignores REFRESH and WAIT. Starting it runs an overdue refresh.
    was_stopped = before.status == _STOPPED
    if was_stopped:
        warehouse.command(f"SYSTEM START VIEW {VIEW}")
    try:
        if was_stopped and not before.has_failed:
            warehouse.command(f"SYSTEM WAIT VIEW {VIEW}")
        if not _state(warehouse).is_refreshed_since(before.now_ns):
            _ask(warehouse, before)
    finally:
        if was_stopped:
            warehouse.command(f"SYSTEM STOP VIEW {VIEW}")
    if not _state(warehouse).is_refreshed_since(before.now_ns):
        raise ScoresNotRefreshedError(
            f"{VIEW}: the engine did not refresh it when asked: see whether it is stopped "
            "(SYSTEM STOP VIEWS) and whether system.view_refreshes lists it"
        )


def _ask(warehouse: Warehouse, before: _State) -> None:
    """Requests one refresh and waits for its end; an error is that of this refresh."""
    warehouse.command(f"SYSTEM REFRESH VIEW {VIEW}")
    if before.has_failed:
        # Until a refresh succeeds, WAIT may raise the error of the failed one before it: watch this
        # one begin and end.
        _poll(lambda: not _is_waiting_to_begin(_state(warehouse), before), BEGIN_WAIT_S)
        _poll(lambda: _state(warehouse).status not in _RUNNING, END_WAIT_S)
        if _state(warehouse).is_refreshed_since(before.now_ns):
            return
        warehouse.command(f"SYSTEM REFRESH VIEW {VIEW}")
        _poll(lambda: _state(warehouse).is_refreshed_since(before.now_ns), BEGIN_WAIT_S)
    warehouse.command(f"SYSTEM WAIT VIEW {VIEW}")


def _is_waiting_to_begin(now: _State, before: _State) -> bool:
    return now.status not in _RUNNING and not now.is_refreshed_since(before.now_ns)


def _poll(is_over: Callable[[], bool], longest_s: float) -> None:
    until_s = time.monotonic() + longest_s
    while not is_over() and time.monotonic() < until_s:
        time.sleep(POLL_S)


def _state(warehouse: Warehouse) -> _State:
    rows = warehouse.rows(sql("reputation/refresh_state"))
    if not rows:
        raise ScoresNotRefreshedError(
            f"{VIEW}: there is no such refreshable view: run `masques migrate --check`"
        )
    status, last_success_ns, computed_at_ns, now_ns, exception = rows[0]
    return _State(
        str(status), int(last_success_ns), int(computed_at_ns), int(now_ns), bool(exception)
    )
