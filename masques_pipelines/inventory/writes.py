"""Counts what each run of a writer added to a table, by day, with a digest of the content.

A write is begun before its first row, under the writer's lease, and its rows are those that came
since: `ingested_at` is the engine's own time. So a run that is killed leaves a write that is not
ended, and the next run of the same writer counts its rows before it begins one of its own: nothing
is lost or counted twice, whatever was killed when.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from masques_pipelines.inventory.tables import Table
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Times have milliseconds: a write begins in another one than that in which the one before ended.
_TICK_S = 0.002


@contextlib.contextmanager
def counted(
    warehouse: Warehouse, table: Table, part: str = "", *, restores: Sequence[str] = ()
) -> Iterator[None]:
    """Counts the rows that the block adds to a table; the caller holds the writer's lease.

    An error of the block does not keep the rows from being counted: they are there.

    Args:
        warehouse: Where the table is.
        table: The table.
        part: Which of its writers this is, as its view tells rows apart.
        restores: Buckets that have lost rows: what the block adds there was counted before.
    """
    warehouse.command(sql("inventory/take_first"), _place(table))
    for left in open_writes(warehouse, table):
        if left.part == part:
            _end(warehouse, table, left)
    time.sleep(_TICK_S)
    begun_at = str(warehouse.row(sql("inventory/now"))[0])
    write = OpenWrite(part, str(uuid.uuid4()), begun_at, tuple(restores))
    warehouse.command(sql("inventory/begin"), _parameters(table, write))
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            _end(warehouse, table, write)
        raise
    _end(warehouse, table, write)


@dataclass(frozen=True)
class OpenWrite:
    """A write that is not ended: it runs, or was killed.

    Attributes:
        part: Its writer.
        write_id: Its id.
        begun_at: Its rows have this ingested_at or a later one.
        restores: Buckets in which it adds what was counted before.
    """

    part: str
    write_id: str
    begun_at: str
    restores: tuple[str, ...]


def open_writes(warehouse: Warehouse, table: Table) -> list[OpenWrite]:
    """Returns the writes of a table that are not ended, the oldest first."""
    rows = warehouse.rows(sql("inventory/open_writes"), {"table": table.name})
    return [
        OpenWrite(str(part), str(write_id), str(begun_at), tuple(map(str, restores)))
        for part, write_id, begun_at, restores in rows
    ]


def _place(table: Table) -> dict[str, str]:
    return {"database": "masques_ops", "view": table.view, "table": table.name}


def _parameters(table: Table, write: OpenWrite) -> dict[str, object]:
    return {
        **_place(table),
        "part": write.part,
        "write_id": write.write_id,
        "begun_at": write.begun_at,
        "restores": list(write.restores),
    }


def _end(warehouse: Warehouse, table: Table, write: OpenWrite) -> None:
    parameters = _parameters(table, write)
    warehouse.command(sql("inventory/count"), parameters)
    warehouse.command(sql("inventory/end"), parameters)
