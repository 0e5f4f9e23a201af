"""Fills every table of a warehouse with rows of any content, and tells what the tables hold."""

from typing import Final

from masques_pipelines.warehouse.client import Warehouse

ROWS: Final = 20
# Times of now are within every retention; random ones would be dropped, or spread over partitions.
# A small number is a yes or no, mostly; is_deleted of the engine must be.
_BY_TYPE: Final = {
    "UInt8": "nth % 2",
    "Date": "today()",
    "DateTime64": "now64(9)",
    "Nullable(DateTime64": "now64(9)",
    "Decimal": "nth + 0.5",
}
# The engine takes only 0 and 1 there, and every column of that kind is named is_….
_FLAG: Final = "is_"
# What migrations write themselves.
_RECORD: Final = "masques_ops.schema_migrations"

# Their rows follow from those of another table.
_KEY_TIMES: Final = "_key_times"


def stored_tables(warehouse: Warehouse, named_in: str | None = None) -> list[str]:
    """Returns the tables that hold rows on disk, by `database.name`, without the record.

    With a text only those of them whose name is in it.
    """
    rows = warehouse.rows(
        "SELECT concat(database, '.', name) FROM system.tables "
        "WHERE startsWith(database, 'masques') AND endsWith(engine, 'MergeTree') "
        "AND NOT startsWith(name, '.') ORDER BY 1"
    )
    names = [str(name) for (name,) in rows if name != _RECORD]
    return [name for name in names if named_in is None or name.partition(".")[2] in named_in]


def fill_tables(
    warehouse: Warehouse, *, only_empty: bool = False, named_in: str | None = None
) -> None:
    """Adds ROWS rows to each table (or each empty one), each column with values of its type."""
    stored = stored_tables(warehouse, named_in)
    derived = {table for table in stored if table.endswith(_KEY_TIMES) and _keys(warehouse, table)}
    for table in stored:
        if table in derived:
            continue
        if only_empty and warehouse.scalar(f"SELECT count() FROM {table}"):
            continue
        columns = [
            (str(row[0]), str(row[1]))
            for row in warehouse.rows(f"DESCRIBE TABLE {table}")
            if row[2] in ("", "DEFAULT")
        ]
        structure = ", ".join(f"{name} {kind}" for name, kind in columns).replace("'", "\\'")
        values = ", ".join(_value(name, kind) for name, kind in columns)
        names = ", ".join(name for name, _ in columns)
        warehouse.command(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM "
            f"(SELECT *, rowNumberInAllBlocks() AS nth FROM "
            f"generateRandom('{structure}', 1, 5, 3) LIMIT {ROWS})"
        )
    for table in sorted(derived):
        warehouse.command(
            f"INSERT INTO {table} (row_key, event_at) "
            f"SELECT row_key, event_at FROM {_keys(warehouse, table)}"
        )


def _keys(warehouse: Warehouse, table: str) -> str:
    """Returns the view that a table of keys is filled from, '' when it is not made yet."""
    view = table.replace(_KEY_TIMES, "_keys")
    return view if warehouse.scalar(f"EXISTS TABLE {view}") else ""


def contents(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    """Returns how many rows each table holds, and a sum of their hashes."""
    return {
        table: (int(rows), int(hashes))
        for table in stored_tables(warehouse)
        for rows, hashes in warehouse.rows(
            f"SELECT count(), sum(cityHash64(*)) FROM {table}"
            # A key may be there twice, with one meaning.
            + (" FINAL" if table.endswith(_KEY_TIMES) else "")
        )
    }


def _value(name: str, kind: str) -> str:
    if name.startswith(_FLAG) and kind == "UInt8":
        return f"nth % 2 AS {name}"
    for prefix, value in _BY_TYPE.items():
        if kind.startswith(prefix):
            return f"{value} AS {name}"
    return name
