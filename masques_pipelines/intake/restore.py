"""Restores rows of a landing table whose content is not what was written.

A reload takes rows that are there for loaded, whatever their content. So the rows of the days that
differ are first set aside, in a table of their own, and the days are loaded from their files again.
What no file has any more is put back as it was. Parts whose files are damaged are detached first.

A partition is swapped as a whole; no statement changes rows. A kill leaves the rows set aside: the
next reload of the table puts them back first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.inventory import detached
from masques_pipelines.inventory.acceptance import accept_restored
from masques_pipelines.inventory.compare import buckets_written, differing
from masques_pipelines.inventory.tables import EVENTS, PIPELINE, Table
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

_OF_DAYS: Final = (
    "toString(toDate({event_time:Identifier})) IN {buckets:Array(String)} "
    "AND ({pipeline:String} = '' OR channel != {pipeline:String})"
)
# A table without time is one partition, and small: all of it is loaded again.
_EVERYTHING: Final = "notEmpty({buckets:Array(String)})"
_THERE: Final = (
    "SELECT count() FROM system.tables WHERE database = 'masques_ops' AND name = {name:String}"
)
_FORM: Final = (
    "SELECT partition_key, sorting_key FROM system.tables "
    "WHERE database = {database:String} AND name = {table:String}"
)
_ROWS: Final = "SELECT count() FROM masques_ops.{kept:Identifier}"
_COLUMNS: Final = (
    "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String} "
    "ORDER BY position"
)


@dataclass(frozen=True)
class Restored:
    """What a restore found.

    Attributes:
        days: Days, or buckets, that were not as written.
        left: Of these, those that still are not.
        put_right: Statements that had changed rows, and parts that had been put aside, that no
            check names any more: the whole table has the content that was written.
    """

    days: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    put_right: tuple[str, ...] = ()


def set_aside(warehouse: Warehouse, table: IntakeTable, held: Table) -> tuple[str, ...]:
    """Takes the rows of days whose content differs out of a table; returns these days.

    The caller holds the writer's lease, loads the files again, and concludes.
    """
    _put_back(warehouse, table, held, None)
    buckets = differing(warehouse, held)
    place = _place(table, held, buckets)
    parts = warehouse.rows(_statement("bucket_parts", held), place)
    if not parts:
        return buckets
    _make(warehouse, place, place["aside"])
    warehouse.command(_statement("set_aside", held), place)
    for (partition,) in parts:
        _make(warehouse, place, place["kept"])
        warehouse.command(_statement("keep_others", held), {**place, "partition": str(partition)})
        _swap(warehouse, place, str(partition))
    # A table without time was set aside as a whole.
    return buckets if held.kept_years else tuple(buckets_written(warehouse, held))


def detach_broken(warehouse: Warehouse, table: IntakeTable) -> None:
    """Takes parts out of the tables whose files are damaged."""
    for database, name in table.kept_in:
        detached.detach_broken(warehouse, f"{database}.{name}")


def conclude(
    warehouse: Warehouse, table: IntakeTable, held: Table, days: tuple[str, ...]
) -> Restored:
    """Puts back what no file had, and compares the whole table with what was written.

    Rows that were set aside of a day that is as written now are no more: they were never written.
    """
    _put_back(warehouse, table, held, differing(warehouse, held))
    if len(table.kept_in) > 1:
        _renew_current(warehouse, table, held)
    left = differing(warehouse, held)
    put_right: tuple[str, ...] = ()
    for database, name in table.kept_in:
        put_right += accept_restored(
            warehouse,
            f"{database}.{name}",
            by=f"masques intake reload --table {table.name}",
            is_restored=lambda: not left,
        )
    return Restored(days, left, put_right)


def _put_back(
    warehouse: Warehouse, table: IntakeTable, held: Table, buckets: Sequence[str] | None
) -> None:
    """Puts rows of some days back that were set aside and are not there; None for all days."""
    place = _place(table, held, buckets or ())
    if not warehouse.scalar(_THERE, {"name": place["aside"]}):
        return
    if buckets is None or buckets:
        key = ", ".join(table.identified_by)
        chosen = "1" if buckets is None else _of_buckets(held)
        text = sql("intake/put_back").replace("/*key*/", key).replace("/*of_buckets*/", chosen)
        warehouse.command(text, place)
    _drop(warehouse, place["aside"])


def _renew_current(warehouse: Warehouse, table: IntakeTable, held: Table) -> None:
    """Writes the table that forgets versions again from the one that keeps them, if they differ."""
    if not warehouse.rows(sql("inventory/identities_differ"), {"most": 1}):
        return
    (database, name), (from_database, from_name) = table.kept_in
    place = {**_place(table, held, ()), "database": database, "table": name}
    _make(warehouse, place, place["kept"])
    columns = ", ".join(str(column) for (column,) in warehouse.rows(_COLUMNS, place))
    warehouse.command(
        f"INSERT INTO masques_ops.{place['kept']} ({columns}) "  # noqa: S608 - names of columns
        f"SELECT {columns} FROM {from_database}.{from_name}"
    )
    _swap(warehouse, place, "all")


def _place(table: IntakeTable, held: Table, buckets: Sequence[str]) -> dict[str, object]:
    database, name = table.kept_in[-1]
    return {
        "database": database,
        "table": name,
        "aside": f"{table.name}_set_aside",
        "kept": f"{table.name}_kept",
        "event_time": table.event_time,
        "buckets": list(buckets),
        "pipeline": PIPELINE if held is EVENTS else "",
    }


def _of_buckets(held: Table) -> str:
    return _OF_DAYS if held.kept_years else _EVERYTHING


def _statement(name: str, held: Table) -> str:
    return sql(f"intake/{name}").replace("/*of_buckets*/", _of_buckets(held))


def _make(warehouse: Warehouse, place: dict[str, object], name: object) -> None:
    """Makes an empty table of the form of another, for a while: no replica has it twice."""
    _drop(warehouse, name)
    partitioned_by, ordered_by = warehouse.row(_FORM, place)
    partition = f" PARTITION BY {partitioned_by}" if partitioned_by else ""
    warehouse.command(
        f"CREATE TABLE masques_ops.{name} AS {place['database']}.{place['table']} "
        f"ENGINE = MergeTree{partition} ORDER BY ({ordered_by})"
    )


def _swap(warehouse: Warehouse, place: dict[str, object], partition: str) -> None:
    """Puts the kept rows in the place of a partition; an empty table never replaces one."""
    table = f"{place['database']}.{place['table']}"
    if warehouse.scalar(_ROWS, place):
        source = f"REPLACE PARTITION ID '{partition}' FROM masques_ops.{place['kept']}"
        warehouse.command(f"ALTER TABLE {table} {source}")
    else:
        warehouse.command(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'")
    _drop(warehouse, place["kept"])


def _drop(warehouse: Warehouse, name: object) -> None:
    warehouse.command(f"DROP TABLE IF EXISTS masques_ops.{name}")
