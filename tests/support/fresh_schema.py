"""A warehouse with the whole schema and without rows, quickly.

Here: making the schema once in an engine, and emptying it for the next test.
Not here: opening warehouses (tests/conftest.py, tests/clickhouse_front/).
A re-run empties what the one before left; a schema that a test changed is made anew.

Making the schema takes three seconds of one core, most of them the engine's analysis of views;
emptying it takes a fifth of one. With three hundred tests that is a third of the suite's time.
"""

from masques_pipelines.errors import MasquesError
from masques_pipelines.schema.declared import DATABASES, declared_schema
from masques_pipelines.schema.migrations import make_plan, migrate
from masques_pipelines.warehouse.client import Warehouse

_RECORD = "masques_ops.schema_migrations"
# Rows that migrations put into tables, by table, as the engine gave them.
_SEEDS: dict[str, bytes] = {}


def drop_schema(warehouse: Warehouse) -> None:
    """Leaves none of our databases."""
    for database in DATABASES:
        warehouse.command(f"DROP DATABASE IF EXISTS {database} SYNC")


def fresh_schema(warehouse: Warehouse) -> None:
    """Leaves the whole schema, and no rows but those that the migrations put there."""
    if not _SEEDS or not _is_whole(warehouse):
        drop_schema(warehouse)
        migrate(warehouse)
        for table in _tables_with_rows(warehouse):
            _SEEDS[table] = warehouse.client.raw_query(f"SELECT * FROM {table}", fmt="Native")
        return
    for table in _tables(warehouse, "NOT endsWith(engine, 'View')"):
        if table not in declared_schema().objects and ".inner" not in table:
            warehouse.command(f"DROP TABLE {table} SYNC")
    for table in _tables_with_rows(warehouse):
        warehouse.command(f"TRUNCATE TABLE {table}")
    for table, rows in _SEEDS.items():
        warehouse.client.raw_insert(table, insert_block=rows, fmt="Native")


def _is_whole(warehouse: Warehouse) -> bool:
    try:
        return make_plan(warehouse).is_clean
    except MasquesError:
        return False


def _tables_with_rows(warehouse: Warehouse) -> list[str]:
    return [name for name in _tables(warehouse, "total_rows > 0") if name != _RECORD]


def _tables(warehouse: Warehouse, condition: str) -> list[str]:
    rows = warehouse.rows(
        "SELECT concat(database, '.', name) FROM system.tables "
        f"WHERE has({{databases:Array(String)}}, database) AND {condition} ORDER BY 1",
        {"databases": list(DATABASES)},
    )
    return [str(name) for (name,) in rows]
