"""Counts what each run of a writer added to a table, by day, with a digest of the content.

A write is begun before its first row, under the writer's lease, and its rows are those that came
since: `ingested_at` is the engine's own time. So a run that is killed leaves a write that is not
ended, and the next run of the same writer counts its rows before it begins one of its own: nothing
is lost or counted twice, whatever was killed when.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator

from masques_pipelines.inventory.tables import Table
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Times have milliseconds: a write begins in another one than that in which the one before ended.
_TICK_S = 0.002


@contextlib.contextmanager
def counted(warehouse: Warehouse, table: Table, part: str = "") -> Iterator[None]:
    """Counts the rows that the block adds to a table; the caller holds the writer's lease.

    An error of the block does not keep the rows from being counted: they are there.

    Args:
        warehouse: Where the table is.
        table: The table.
        part: Which of its writers this is, as its view tells rows apart.
    """
    place = {"database": "masques_ops", "view": table.view, "table": table.name, "part": part}
    warehouse.command(sql("inventory/take_first"), place)
    for of_part, write_id, begun_at in open_writes(warehouse, table):
        if of_part == part:
            _end(warehouse, {**place, "write_id": write_id, "begun_at": begun_at})
    time.sleep(_TICK_S)
    write_id = str(uuid.uuid4())
    warehouse.command(sql("inventory/begin"), {**place, "write_id": write_id})
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            _end_open(warehouse, table, place, write_id)
        raise
    _end_open(warehouse, table, place, write_id)


def open_writes(warehouse: Warehouse, table: Table) -> list[tuple[str, str, str]]:
    """Returns writer, id and beginning of the writes that are not ended, the oldest first."""
    rows = warehouse.rows(sql("inventory/open_writes"), {"table": table.name})
    return [(str(part), str(write_id), str(begun_at)) for part, write_id, begun_at in rows]


def _end_open(warehouse: Warehouse, table: Table, place: dict[str, str], write_id: str) -> None:
    for _part, found, begun_at in open_writes(warehouse, table):
        if found == write_id:
            _end(warehouse, {**place, "write_id": write_id, "begun_at": begun_at})


def _end(warehouse: Warehouse, write: dict[str, str]) -> None:
    warehouse.command(sql("inventory/count"), write)
    warehouse.command(sql("inventory/end"), write)
