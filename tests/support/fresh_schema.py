"""Gives a test a warehouse with the whole schema and without rows, quickly.

The schema is made once in an engine, which takes some three seconds of one core, and emptied for
the next test. What a test did to it is seen by comparing each object's identity and time of
change with those of the fresh schema, which is quicker than planning a migration (0.15 s of one
core) or reading every definition (0.1). What a test changed is made again as the engine described
it; only when the databases or the scores' view are gone the files are applied again.
"""

from dataclasses import dataclass, field

from masques_pipelines.schema.declared import DATABASES
from masques_pipelines.schema.migrations import migrate
from masques_pipelines.warehouse.client import Warehouse

# The engine knows the second in which an object was changed: within it, a second change has no
# other version, so there is none to compare yet.
_OBJECTS_SQL = """
SELECT concat(database, '.', name),
    if(metadata_modification_time < now() - 1,
        concat(uuid, ' ', toUnixTimestamp(metadata_modification_time)), ''),
    endsWith(engine, 'View'), ifNull(total_rows, 0) > 0
FROM system.tables
WHERE has({databases:Array(String)}, database)
ORDER BY endsWith(engine, 'View'), 1
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
# The engine remembers what changed rows until the table is dropped; a check looks for it.
_MUTATIONS_SQL = """
SELECT concat(database, '.', table), mutation_id
FROM system.mutations
WHERE has({databases:Array(String)}, database)
"""


@dataclass
class _Fresh:
    """What the engine of this process held when its schema was new."""

    versions: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    mutations: set[tuple[str, str]] = field(default_factory=set)
    # Rows that numbered files put into tables, as the engine gave them.
    seeds: dict[str, bytes] = field(default_factory=dict)


_FRESH: dict[str, _Fresh] = {}


def drop_schema(warehouse: Warehouse) -> None:
    """Leaves none of our databases."""
    for database in (*DATABASES, "otel"):
        warehouse.command(f"DROP DATABASE IF EXISTS {database} SYNC")


def adopt_schema(warehouse: Warehouse) -> None:
    """Takes the schema of an engine that was just opened on a copied folder as the fresh one."""
    _FRESH[warehouse.description] = _seen(warehouse)


def fresh_schema(warehouse: Warehouse) -> None:
    """Leaves the whole schema, and no rows but those that the numbered files put there."""
    # A sandbox's spans.
    warehouse.command("DROP DATABASE IF EXISTS otel SYNC")
    fresh = _FRESH.get(warehouse.description)
    if fresh is None or not _restored(warehouse, fresh):
        drop_schema(warehouse)
        migrate(warehouse)
        _FRESH[warehouse.description] = _seen(warehouse)


def _seen(warehouse: Warehouse) -> _Fresh:
    objects = warehouse.rows(_OBJECTS_SQL, {"databases": list(DATABASES)})
    return _Fresh(
        versions={name: version for name, version, _, _ in objects},
        definitions=_definitions(warehouse, [name for name, _, _, _ in objects]),
        parts=_parts(warehouse),
        mutations=_mutations(warehouse),
        seeds={
            name: warehouse.client.raw_query(f"SELECT * FROM {name}", fmt="Native")
            for name, _, _, has_rows in objects
            if has_rows
        },
    )


def _restored(warehouse: Warehouse, fresh: _Fresh) -> bool:
    """Puts the schema right and empties the tables; returns False when too much is gone."""
    objects = warehouse.rows(_OBJECTS_SQL, {"databases": list(DATABASES)})
    versions = {name: version for name, version, _, _ in objects}
    changed = [
        name
        for name, version in fresh.versions.items()
        if version == "" or versions.get(name) != version
    ]
    # A refresh puts a new table in the place of the scores; its definition is the same.
    live = _definitions(warehouse, changed) if changed else {}
    mutated = {name for name, _number in _mutations(warehouse) - fresh.mutations}
    damaged = [
        name
        for name in fresh.versions
        if name in mutated or (name in changed and live.get(name) != fresh.definitions[name])
    ]
    if any(fresh.definitions[name].startswith("CREATE MATERIALIZED") for name in damaged):
        return False
    for name in (set(versions) - set(fresh.versions)) | (set(versions) & set(damaged)):
        _drop(warehouse, name)  # also what a refresh that was cut short leaves, `.tmp.inner_id…`
    for name in damaged:  # tables before views
        warehouse.command(fresh.definitions[name])
    sound = [name for name in changed if name not in damaged]
    fresh.versions.update({**_picked(versions, sound), **dict.fromkeys(damaged, "")})
    _empty(
        warehouse,
        fresh,
        [
            name
            for name, _, is_view, has_rows in objects
            if has_rows and not is_view and name not in damaged
        ],
    )
    return True


def _empty(warehouse: Warehouse, fresh: _Fresh, filled: list[str]) -> None:
    """Leaves no rows but the seeds; tables whose parts are as they were are left alone."""
    parts = _parts(warehouse)
    touched = [name for name in filled if parts.get(name) != fresh.parts.get(name)]
    lost = [name for name in fresh.seeds if name not in filled]
    for name in touched:
        warehouse.command(f"TRUNCATE TABLE IF EXISTS {name}")
    seeded = [name for name in (*touched, *lost) if name in fresh.seeds]
    for name in seeded:
        warehouse.client.raw_insert(name, insert_block=fresh.seeds[name], fmt="Native")
    if seeded:
        fresh.parts = _parts(warehouse)
    # What the engine remembers of parts that are gone would hide rows of those that follow.
    warehouse.command("SYSTEM DROP QUERY CONDITION CACHE")


def _drop(warehouse: Warehouse, name: str) -> None:
    database, table = name.split(".", 1)
    warehouse.command(
        "DROP TABLE IF EXISTS {database:Identifier}.{table:Identifier} SYNC",
        {"database": database, "table": table},
    )


def _mutations(warehouse: Warehouse) -> set[tuple[str, str]]:
    rows = warehouse.rows(_MUTATIONS_SQL, {"databases": list(DATABASES)})
    return {(str(name), str(number)) for name, number in rows}


def _parts(warehouse: Warehouse) -> dict[str, str]:
    """Returns a digest of the parts of each table that has any."""
    return dict(warehouse.rows(_PARTS_SQL, {"databases": list(DATABASES)}))


def _definitions(warehouse: Warehouse, objects: list[str]) -> dict[str, str]:
    parameters = {"databases": list(DATABASES), "objects": objects}
    return dict(warehouse.rows(_DEFINITIONS_SQL, parameters))


def _picked(values: dict[str, str], names: list[str]) -> dict[str, str]:
    return {name: values[name] for name in names if name in values}
