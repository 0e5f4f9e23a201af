"""Gives a test a warehouse with the whole schema and without rows, quickly.

The schema is made once in an engine, which takes some four seconds of one core, and emptied for
the next test. What a test did to it is seen by comparing each object's identity and time of
change with those of the fresh schema, which is quicker than planning a migration (0.15 s of one
core) or reading every definition (0.1).
"""

import time
from dataclasses import dataclass, field

from masques_pipelines.schema.declared import DATABASES
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.warehouse.client import Warehouse

# The engine knows the second in which an object was changed: what a test changes has another.
_CLOCK_S = 1.0
_RECORD = "masques_ops.schema_migrations"
_OBJECTS_SQL = """
SELECT concat(database, '.', name), concat(uuid, ' ', toUnixTimestamp(metadata_modification_time)),
    endsWith(engine, 'View'), ifNull(total_rows, 0) > 0
FROM system.tables
WHERE has({databases:Array(String)}, database)
ORDER BY 1
"""
_DEFINITIONS_SQL = """
SELECT concat(database, '.', name) AS object, create_table_query
FROM system.tables
WHERE has({databases:Array(String)}, database) AND has({objects:Array(String)}, object)
"""
_PARTS_SQL = """
SELECT concat(database, '.', table), toString(groupBitXor(cityHash64(name, hash_of_all_files)))
FROM system.parts
WHERE active AND has({databases:Array(String)}, database)
GROUP BY 1
"""


@dataclass
class _Fresh:
    """What the engine of this process held when its schema was new."""

    versions: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    # Rows that numbered files put into tables, as the engine gave them.
    seeds: dict[str, bytes] = field(default_factory=dict)


_FRESH: dict[str, _Fresh] = {}


def drop_schema(warehouse: Warehouse) -> None:
    """Leaves none of our databases."""
    for database in DATABASES:
        warehouse.command(f"DROP DATABASE IF EXISTS {database} SYNC")


def fresh_schema(warehouse: Warehouse) -> None:
    """Leaves the whole schema, and no rows but those that the numbered files put there."""
    fresh = _FRESH.get(warehouse.description)
    if fresh is None or not _empty(warehouse, fresh):
        drop_schema(warehouse)
        migrate(warehouse)
        time.sleep(_CLOCK_S)
        _FRESH[warehouse.description] = _seen(warehouse)


def _seen(warehouse: Warehouse) -> _Fresh:
    objects = warehouse.rows(_OBJECTS_SQL, {"databases": list(DATABASES)})
    return _Fresh(
        versions={name: version for name, version, _, _ in objects},
        definitions=_definitions(warehouse, [name for name, _, _, _ in objects]),
        parts=_parts(warehouse),
        seeds={
            name: warehouse.client.raw_query(f"SELECT * FROM {name}", fmt="Native")
            for name, _, _, has_rows in objects
            if has_rows and name != _RECORD
        },
    )


def _empty(warehouse: Warehouse, fresh: _Fresh) -> bool:
    """Empties the tables; returns False when a test changed the schema or its record."""
    parts = _parts(warehouse)
    objects = warehouse.rows(_OBJECTS_SQL, {"databases": list(DATABASES)})
    added = [row for row in objects if row[0] not in fresh.versions]
    versions = {name: version for name, version, _, _ in objects}
    changed = [name for name, version in fresh.versions.items() if versions.get(name) != version]
    # A refresh puts a new table in the place of the scores; its definition is the same.
    if (
        (changed and _definitions(warehouse, changed) != _picked(fresh.definitions, changed))
        or any(is_view for _, _, is_view, _ in added)
        or parts.get(_RECORD) != fresh.parts.get(_RECORD)
    ):
        return False
    fresh.versions.update(_picked(versions, changed))
    for name, _, _, _ in added:
        database, table = name.split(".", 1)  # a refresh that was cut short leaves `.tmp.inner_id…`
        warehouse.command(
            "DROP TABLE {database:Identifier}.{table:Identifier} SYNC",
            {"database": database, "table": table},
        )
    known = [row for row in objects if row[0] in fresh.versions]
    for name, _, _, has_rows in known:
        seed = fresh.seeds.get(name)
        if name == _RECORD:
            continue
        if has_rows:
            warehouse.command(f"TRUNCATE TABLE {name}")
        if seed is not None:
            warehouse.client.raw_insert(name, insert_block=seed, fmt="Native")
    # What the engine remembers of parts that are gone would hide rows of those that follow.
    warehouse.command("SYSTEM DROP QUERY CONDITION CACHE")
    return True


def _parts(warehouse: Warehouse) -> dict[str, str]:
    """Returns a digest of the parts of each table that has any."""
    return dict(warehouse.rows(_PARTS_SQL, {"databases": list(DATABASES)}))


def _definitions(warehouse: Warehouse, objects: list[str]) -> dict[str, str]:
    parameters = {"databases": list(DATABASES), "objects": objects}
    return dict(warehouse.rows(_DEFINITIONS_SQL, parameters))


def _picked(values: dict[str, str], names: list[str]) -> dict[str, str]:
    return {name: values[name] for name in names if name in values}
