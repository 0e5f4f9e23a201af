"""Drives a refreshable materialized view: refresh and wait, stop what is running.

An embedded engine opens with its views stopped (it would refresh at every open), and a stopped view
answers REFRESH and WAIT without doing anything. Starting it runs what is overdue.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

BEGIN_WAIT_S: Final = 10.0
END_WAIT_S: Final = 600.0
POLL_S: Final = 0.02
_RUNNING: Final = ("Running", "RunningOnAnotherReplica")
_STOPPED: Final = "Disabled"


class NotRefreshedError(PermanentError):
    """The engine did not refresh the view, and gave no error that says why."""


@dataclass(frozen=True)
class RefreshableView:
    """A view that fills a table as a whole.

    Attributes:
        name: As `database.view`.
        target: The table that it fills, as `database.table`.
        computed_at: DateTime64(9) column of the target: when the refresh that made a row began.
    """

    name: str
    target: str
    computed_at: str


@dataclass(frozen=True)
class _State:
    """The view's state; times in nanoseconds since 1970, by the warehouse's clock."""

    status: str
    last_success_ns: int
    computed_at_ns: int
    now_ns: int
    has_failed: bool

    def is_refreshed_since(self, began_ns: int) -> bool:
        """Says whether a refresh that began after a time has ended."""
        # Without any row there is no time to compare; the engine's own time has only seconds.
        has_empty_success = self.computed_at_ns <= 0 and (
            self.last_success_ns >= began_ns // 10**9 * 10**9
        )
        return self.computed_at_ns >= began_ns or has_empty_success


def is_refreshing(warehouse: Warehouse, view: RefreshableView) -> bool:
    """Says whether a refresh is running, here or on another replica."""
    return _state(warehouse, view).status in _RUNNING


def refresh_and_wait(warehouse: Warehouse, view: RefreshableView) -> None:
    """Runs one refresh that begins after now, and returns when its rows are swapped in.

    Raises:
        WarehousePermanentError: The computation failed; the text is the engine's.
        NotRefreshedError: The view is stopped by something else, or does not exist.
    """
    before = _state(warehouse, view)
    was_stopped = before.status == _STOPPED
    if was_stopped:
        warehouse.command(f"SYSTEM START VIEW {view.name}")
        # It starts in the background, and until then a WAIT returns at once (seen on a busy
        # machine: neither refreshed nor failed).
        _poll(lambda: _state(warehouse, view).status != _STOPPED, BEGIN_WAIT_S)
    try:
        if was_stopped and not before.has_failed:
            warehouse.command(f"SYSTEM WAIT VIEW {view.name}")
        if not _state(warehouse, view).is_refreshed_since(before.now_ns):
            _ask(warehouse, view, before)
    finally:
        if was_stopped:
            warehouse.command(f"SYSTEM STOP VIEW {view.name}")
    if not _state(warehouse, view).is_refreshed_since(before.now_ns):
        raise NotRefreshedError(
            f"{view.name}: the engine was asked to refresh it and did not: see whether it is "
            "stopped (SYSTEM STOP VIEWS) and whether system.view_refreshes lists it"
        )


@contextlib.contextmanager
def stopped(warehouse: Warehouse, view: RefreshableView) -> Iterator[None]:
    """Stops the view and what it is running for as long as the context lasts.

    A refresh that runs while the view's query is changed would swap in the rows of the old query.
    An embedded view stays stopped afterwards, as it is from the engine's start. On a server it is
    started, whoever stopped it: a run that was killed in here leaves it stopped.
    """
    # A refresh of a cluster's view runs on any one of its replicas.
    replicated = "" if warehouse.cluster is None else "REPLICATED "
    warehouse.command(f"SYSTEM STOP {replicated}VIEW {view.name}")
    try:
        warehouse.command(f"SYSTEM CANCEL VIEW {view.name}")
        _poll(lambda: _state(warehouse, view).status == _STOPPED, END_WAIT_S)
        if is_refreshing(warehouse, view):
            raise NotRefreshedError(
                f"{view.name}: a refresh still runs {END_WAIT_S:.0f} s after it was cancelled: end "
                "it (system.view_refreshes says where it runs), then try again"
            )
        yield
    finally:
        if not warehouse.is_embedded:
            warehouse.command(f"SYSTEM START {replicated}VIEW {view.name}")


def _ask(warehouse: Warehouse, view: RefreshableView, before: _State) -> None:
    """Asks for one refresh and waits for its end; the error is that of this refresh."""
    warehouse.command(f"SYSTEM REFRESH VIEW {view.name}")
    if before.has_failed:
        # Until a refresh succeeds, a wait may raise the error of the failed one before: watch this
        # one begin, and end.
        _poll(lambda: not _is_waiting_to_begin(_state(warehouse, view), before), BEGIN_WAIT_S)
        _poll(lambda: _state(warehouse, view).status not in _RUNNING, END_WAIT_S)
        if _state(warehouse, view).is_refreshed_since(before.now_ns):
            return
        warehouse.command(f"SYSTEM REFRESH VIEW {view.name}")
        _poll(lambda: _state(warehouse, view).is_refreshed_since(before.now_ns), BEGIN_WAIT_S)
    warehouse.command(f"SYSTEM WAIT VIEW {view.name}")


def _is_waiting_to_begin(now: _State, before: _State) -> bool:
    return now.status not in _RUNNING and not now.is_refreshed_since(before.now_ns)


def _poll(is_over: Callable[[], bool], longest_s: float) -> None:
    until_s = time.monotonic() + longest_s
    while not is_over() and time.monotonic() < until_s:
        time.sleep(POLL_S)


def _state(warehouse: Warehouse, view: RefreshableView) -> _State:
    database, _, name = view.name.partition(".")
    target_database, _, target = view.target.partition(".")
    rows = warehouse.rows(
        sql("warehouse/refresh_state"),
        {
            "database": database,
            "view": name,
            "target_database": target_database,
            "target": target,
            "computed_at": view.computed_at,
        },
    )
    if not rows:
        raise NotRefreshedError(
            f"{view.name}: there is no such refreshable view: run `masques migrate --check`"
        )
    status, last_success_ns, computed_at_ns, now_ns, exception = rows[0]
    return _State(
        str(status), int(last_success_ns), int(computed_at_ns), int(now_ns), bool(exception)
    )
