"""Takes and renews a writer lease: against a server, one process at a time writes a target.

An embedded warehouse needs none: its file lock (embedded.py) already excludes other processes. The
lease of a killed process is taken over when its deadline has passed.

ClickHouse has no compare-and-set, but a CREATE TABLE succeeds once for each name. So the lease of
"ledger" is the table masques_ops.lease_ledger_<n> with the highest n; its comment names the holder
and the deadline, by the server's clock. Taking over, renewing and releasing all create number
n + 1, which only one of several processes can do. A process that created a number and then sees a
higher one had read an old list: it drops its own table and has lost. The tables have no rows and
are dropped when they are replaced.

What remains: a holder that is frozen past its deadline while its insert is under way. Each insert
is bounded (`insert_settings`) to end before the deadline that it began under.
"""

import contextlib
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from masques_pipelines.errors import TransientError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.errors import WarehousePermanentError

# A run that was killed holds up the next for this long at most.
LEASE_S: Final = 60.0
# Longer than a lease: the wait for a killed run succeeds, the wait for a long one says so.
WAIT_S: Final = 90.0
POLL_S: Final = 0.5
LOG_EVERY_S: Final = 10.0
_TABLE_ALREADY_EXISTS: Final = 57
logger = logging.getLogger(__name__)


class LeaseBusyError(TransientError):
    """Another process writes to the warehouse; the text names it."""


class LeaseLostError(TransientError):
    """The lease ran out before it was renewed: another process may be writing by now."""


@dataclass(frozen=True)
class _Held:
    number: int
    token: str
    holder: str
    deadline_ms: int


@dataclass
class Lease:
    """A held lease. Call `hold` before each write.

    Attributes:
        name: What is being written.
        duration_s: Seconds from a renewal to the deadline.
        insert_settings: Bound an insert to the part of the lease that `hold` leaves.
    """

    name: str
    duration_s: float
    insert_settings: dict[str, Any] = field(default_factory=dict)
    _warehouse: Warehouse | None = field(default=None, repr=False)
    _token: str = ""
    _number: int = 0
    _deadline_s: float = 0.0

    def hold(self) -> None:
        """Renews the lease if it may end before the next insert does.

        Raises:
            LeaseLostError: The deadline has passed, or another process took the lease.
        """
        if self._warehouse is None:  # embedded: the file lock is enough
            return
        left_s = self._deadline_s - time.monotonic()
        if left_s > self.duration_s * 2 / 3:
            return
        if left_s <= 0 or not self._take(self._warehouse, self._number + 1):
            raise LeaseLostError(
                f"{self._warehouse.description}: the lease {self.name!r} ran out before it could "
                "be renewed, so another process may be writing: nothing was lost, run it again"
            )

    def _take(self, warehouse: Warehouse, number: int, *, is_released: bool = False) -> bool:
        """Creates the table of a number; returns whether this process now holds the lease."""
        asked_s = time.monotonic()
        now_ms = _server_ms(warehouse)
        deadline_ms = 0 if is_released else now_ms + int(self.duration_s * 1000)
        comment = json.dumps(
            {"token": self._token, "holder": _this_process(warehouse), "deadline_ms": deadline_ms}
        )
        try:
            warehouse.command(
                f"CREATE TABLE {_table(self.name, number)} (nothing UInt8) ENGINE = Null "
                f"COMMENT {_literal(comment)}"
            )
        except WarehousePermanentError as error:
            if error.code != _TABLE_ALREADY_EXISTS:
                raise
        held = _listed(warehouse, self.name)
        newest = max(held, key=lambda lease: lease.number, default=None)
        if newest is None or newest.number != number or newest.token != self._token:
            if any(lease.number == number and lease.token == self._token for lease in held):
                _drop(warehouse, self.name, number)
            return False
        for older in held:
            if older.number < number:
                _drop(warehouse, self.name, older.number)
        self._number, self._deadline_s = number, asked_s + self.duration_s
        return True


@contextlib.contextmanager
def writer_lease(
    warehouse: Warehouse,
    name: str,
    *,
    duration_s: float = LEASE_S,
    wait_s: float = WAIT_S,
) -> Iterator[Lease]:
    """Holds the lease of that name, after waiting for another holder or its deadline.

    Args:
        warehouse: An embedded one gets a lease that does nothing.
        name: What is being written, lower-case letters.
        duration_s: Seconds from a renewal to the deadline.
        wait_s: Longest wait for another holder.

    Raises:
        LeaseBusyError: Another process still holds it.
    """
    if not warehouse.is_server:
        yield Lease(name, duration_s)
        return
    lease = Lease(
        name,
        duration_s,
        {"max_execution_time": max(1, int(duration_s / 2))},
        _warehouse=warehouse,
        _token=uuid.uuid4().hex,
    )
    _wait_and_take(warehouse, lease, wait_s=wait_s)
    try:
        yield lease
    finally:
        # The table of a release stays: a process that read an old list would reuse its number.
        with contextlib.suppress(TransientError):
            lease._take(warehouse, lease._number + 1, is_released=True)  # noqa: SLF001 - its maker


def _wait_and_take(warehouse: Warehouse, lease: Lease, *, wait_s: float) -> None:
    started_s = logged_s = time.monotonic()
    while True:
        newest = max(_listed(warehouse, lease.name), key=lambda held: held.number, default=_NOBODY)
        is_free = newest.deadline_ms <= _server_ms(warehouse)
        if is_free and lease._take(warehouse, newest.number + 1):  # noqa: SLF001 - its maker
            return
        now_s = time.monotonic()
        if now_s - started_s >= wait_s:
            raise LeaseBusyError(
                f"{warehouse.description}: {newest.holder} writes {lease.name!r} already: "
                "wait for it to end, or stop it and run this again"
            )
        if now_s - logged_s >= LOG_EVERY_S:
            logged_s = now_s
            logger.warning("waiting for %s, which writes %r", newest.holder, lease.name)
        time.sleep(POLL_S)


_NOBODY: Final = _Held(number=0, token="", holder="another process", deadline_ms=0)


def _listed(warehouse: Warehouse, name: str) -> list[_Held]:
    prefix = _table(name, 0).partition(".")[2].rstrip("0")
    rows = warehouse.rows(
        "SELECT name, comment FROM system.tables "
        "WHERE database = 'masques_ops' AND startsWith(name, {prefix:String})",
        {"prefix": prefix},
    )
    found = []
    for table, comment in rows:
        state = json.loads(comment)
        found.append(
            _Held(
                number=int(table.removeprefix(prefix)),
                token=str(state["token"]),
                holder=str(state["holder"]),
                deadline_ms=int(state["deadline_ms"]),
            )
        )
    return found


def _table(name: str, number: int) -> str:
    if not name.isalpha() or not name.islower():
        raise ValueError(f"a lease's name is lower-case letters, not {name!r}")
    return f"masques_ops.lease_{name}_{number}"


def _drop(warehouse: Warehouse, name: str, number: int) -> None:
    warehouse.command(f"DROP TABLE IF EXISTS {_table(name, number)} SYNC")


def _server_ms(warehouse: Warehouse) -> int:
    return int(warehouse.scalar("SELECT toUnixTimestamp64Milli(now64(3))"))


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _this_process(warehouse: Warehouse) -> str:
    origin = warehouse.origin
    named = origin.job or "a process"
    run = f" run {origin.run_id}" if origin.run_id else ""
    return f"{named}{run} (process {os.getpid()} on {socket.gethostname()})"
