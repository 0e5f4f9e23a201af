"""One writer at a time on a ClickHouse server, where no file lock can see to it.

Here: a lease by name, held by the newest of a series of tables in masques_ops.
Not here: the lock of the embedded warehouse (embedded.py), which makes a lease needless there.
A re-run takes the lease when it is free or its deadline has passed; a holder that was killed keeps
it until then.

How: `CREATE TABLE masques_ops.lease_<name>_<n>` succeeds for one only, so whoever creates number n
holds the lease. Number n may be created when n - 1 was released or its deadline, in the table's
comment, has passed. The server's clock decides.
"""

import contextlib
import json
import os
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from masques_pipelines.errors import TransientError
from masques_pipelines.warehouse.errors import WarehousePermanentError
from masques_pipelines.warehouse.sql_files import sql
from masques_pipelines.warehouse.warehouse import Warehouse

# Longer than the longest statement between two renewals; what a kill costs the next run at most.
LEASE_S: Final = 180
_TABLE_ALREADY_EXISTS: Final = 57
_UNKNOWN_TABLE: Final = 60


class LeaseHeldError(TransientError):
    """Another process does the same work on this server."""


@dataclass
class Lease:
    """A lease that is held; call `renew` before each piece of work."""

    warehouse: Warehouse | None
    table: str = ""
    holder: str = ""

    def renew(self) -> None:
        """Moves the deadline to LEASE_S from now.

        Raises:
            LeaseHeldError: The deadline had passed and another process has taken over.
        """
        self._say(released=False)

    def release(self) -> None:
        """Frees the lease at once."""
        self._say(released=True)

    def _say(self, *, released: bool) -> None:
        if self.warehouse is None:
            return
        now_s = int(self.warehouse.scalar("SELECT toUnixTimestamp(now())"))
        comment = _comment(self.holder, 0 if released else now_s + LEASE_S)
        try:
            self.warehouse.command(f"ALTER TABLE {self.table} MODIFY COMMENT '{comment}'")
        except WarehousePermanentError as error:
            if error.code != _UNKNOWN_TABLE:
                raise
            if not released:
                raise LeaseHeldError(
                    f"{self.warehouse.description}: {self.table} passed its deadline and another "
                    "process took it over: run this again"
                ) from error


@contextlib.contextmanager
def held_lease(warehouse: Warehouse, name: str) -> Iterator[Lease]:
    """Holds a lease while the context lasts; on the embedded warehouse the lock is enough.

    Args:
        warehouse: Where.
        name: What is leased: lower-case letters and underscores.

    Raises:
        LeaseHeldError: Another holds it; the text says who and for how long.
    """
    if warehouse.inserts_folder is not None:
        yield Lease(None)
        return
    lease = _taken(warehouse, name)
    try:
        yield lease
    finally:
        lease.release()


def _taken(warehouse: Warehouse, name: str) -> Lease:
    found = warehouse.rows(sql("queries/warehouse/leases"), {"prefix": f"lease_{name}_"})
    newest = 0
    for table, number, comment, now_s in found:
        newest = max(newest, int(number))
        said = json.loads(comment)
        if int(number) == max(int(row[1]) for row in found) and int(said["until"]) > int(now_s):
            raise LeaseHeldError(
                f"{warehouse.description}: {said['holder']} holds {table} for another "
                f"{int(said['until']) - int(now_s)} s: wait for it to end, then run this again"
            )
    holder = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
    table = f"masques_ops.lease_{name}_{newest + 1}"
    now_s = int(warehouse.scalar("SELECT toUnixTimestamp(now())"))
    try:
        warehouse.command(
            f"CREATE TABLE {table} (holder String) ENGINE = MergeTree ORDER BY holder "
            f"COMMENT '{_comment(holder, now_s + LEASE_S)}'"
        )
    except WarehousePermanentError as error:
        if error.code != _TABLE_ALREADY_EXISTS:
            raise
        raise LeaseHeldError(
            f"{warehouse.description}: another process took {table} just now: run this again later"
        ) from error
    for old, *_rest in found:
        warehouse.command(f"DROP TABLE IF EXISTS masques_ops.{old}")
    return Lease(warehouse, table, holder)


def _comment(holder: str, until_s: int) -> str:
    text = json.dumps({"holder": holder, "until": until_s})
    return text.replace("\\", "\\\\").replace("'", "\\'")
