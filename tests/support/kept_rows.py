"""Fills the tables of a test with the rows that another test of the process came to.

A synced ledger that was proved takes three seconds of a core; its rows, put back as the engine
gave them, a tenth of that.
"""

from collections.abc import Callable

from masques_pipelines.schema.declared import DATABASES
from masques_pipelines.warehouse.client import Warehouse

_FILLED = (
    "SELECT concat(database, '.', name) FROM system.tables WHERE total_rows > 0 "
    "AND has({databases:Array(String)}, database) AND endsWith(engine, 'MergeTree') ORDER BY 1"
)
_KEPT: dict[str, dict[str, bytes]] = {}


def filled_once(warehouse: Warehouse, name: str, fill: Callable[[], None]) -> None:
    """Fills the tables of a fresh schema; from the second time on with the rows of the first."""
    if name in _KEPT:
        put_rows(warehouse, _KEPT[name])
    else:
        before = kept_rows(warehouse)
        fill()
        rows = kept_rows(warehouse)
        _KEPT[name] = {table: block for table, block in rows.items() if table not in before}


def kept_rows(warehouse: Warehouse) -> dict[str, bytes]:
    """Returns the rows of every table that has some, in the engine's own format."""
    tables = warehouse.rows(_FILLED, {"databases": list(DATABASES)})
    return {
        str(table): warehouse.client.raw_query(f"SELECT * FROM {table}", fmt="Native")
        for (table,) in tables
    }


def put_rows(warehouse: Warehouse, rows: dict[str, bytes]) -> None:
    """Adds rows that were kept."""
    for table, block in rows.items():
        warehouse.client.raw_insert(table, insert_block=block, fmt="Native")
