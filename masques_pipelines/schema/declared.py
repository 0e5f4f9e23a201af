"""Reads the live schema and the declared schema, and compares them.

The declared schema is the file `sql/schema.json`, which `make schema` (snapshot.py) writes and a
test holds against the SQL files. It is a file so that a check costs three small queries and needs
no right to create anything.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql, sql_directory

DATABASES: Final = ("masques", "masques_ops", "masques_marts")

# A cluster adds a prefix to the engine; the table is the same otherwise.
_ENGINE_PREFIX: Final = re.compile(r"^(Replicated|Shared)(?=\w*MergeTree)")
_TTL: Final = re.compile(r"\bTTL (.*?)(?: SETTINGS |$)")
_SETTINGS: Final = re.compile(r"\bSETTINGS (.*)$")
_ENGINE_ARGUMENTS: Final = re.compile(r"^\w+\((.*?)\)(?: |$)")
_REFRESH: Final = re.compile(r"\bREFRESH (.*?) TO ")
_SERVER_SETTINGS: Final = ("index_granularity", "storage_policy", "disk")


class SchemaError(PermanentError):
    """The declared schema cannot be read."""


@dataclass(frozen=True)
class ObjectSchema:
    """One table or view, as far as it matters to who writes and reads it.

    Attributes:
        engine: Without a cluster's prefix and path, with the version column of a Replacing engine.
        partition_key, sorting_key, ttl: As the engine prints them, '' when there is none.
        settings: Table settings that the definition names.
        refresh: When a refreshable view runs, '' for other objects.
        columns: Each column's type with its default, in order, by name.
        comments: What a column means, by name; a difference here is no drift.
        indices: Each skip index, by name.
        query: What a view selects, as the engine prints it.
    """

    engine: str
    partition_key: str
    sorting_key: str
    ttl: str
    settings: str
    refresh: str
    columns: Mapping[str, str]
    comments: Mapping[str, str]
    indices: Mapping[str, str]
    query: str


@dataclass(frozen=True)
class Declared:
    """The declared schema.

    Attributes:
        objects: Each object as the files leave it, by `database.name`.
        created_by: Number of the file that makes it.
        changed_by: Number of the file that last changes it; the same when only one touches it.
        views_version: Grows by one with each change of the view files, and so tells which of two
            checkouts is the older one.
        views_checksum: Checksum of the view files that this is the schema of.
    """

    objects: Mapping[str, ObjectSchema]
    created_by: Mapping[str, int]
    changed_by: Mapping[str, int]
    views_version: int
    views_checksum: str


def live_schema(warehouse: Warehouse) -> dict[str, ObjectSchema]:
    """Returns every object of the three databases as it is now, by `database.name`."""
    columns: dict[str, dict[str, str]] = {}
    comments: dict[str, dict[str, str]] = {}
    for name, column, kind, default_kind, default, comment in warehouse.rows(sql("schema/columns")):
        columns.setdefault(name, {})[column] = f"{kind} {default_kind} {default}".strip()
        if comment:
            comments.setdefault(name, {})[column] = comment
    indices: dict[str, dict[str, str]] = {}
    for name, index, kind, expression, granularity in warehouse.rows(sql("schema/indices")):
        indices.setdefault(name, {})[index] = f"{kind} of {expression} GRANULARITY {granularity}"
    return {
        row["name"]: _object(
            row,
            columns=columns.get(row["name"], {}),
            comments=comments.get(row["name"], {}),
            indices=indices.get(row["name"], {}),
        )
        for row in warehouse.records(sql("schema/tables"))
    }


def declared_schema() -> Declared:
    """Returns the schema that the SQL files make.

    Raises:
        SchemaError: `sql/schema.json` is missing or damaged.
    """
    path = sql_directory() / "schema.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content["objects"]
        return Declared(
            objects={name: ObjectSchema(**entry["schema"]) for name, entry in entries.items()},
            created_by={name: int(entry["created_by"]) for name, entry in entries.items()},
            changed_by={name: int(entry["changed_by"]) for name, entry in entries.items()},
            views_version=int(content["views_version"]),
            views_checksum=str(content["views_checksum"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchemaError(
            f"{path}: the declared schema cannot be read ({error}): restore the file"
        ) from error


def declared_text(declared: Declared) -> str:
    """Returns the content of `sql/schema.json` for a schema."""
    entries = {
        name: {
            "created_by": declared.created_by[name],
            "changed_by": declared.changed_by[name],
            "schema": asdict(schema),
        }
        for name, schema in sorted(declared.objects.items())
    }
    content = {
        "views_version": declared.views_version,
        "views_checksum": declared.views_checksum,
        "objects": entries,
    }
    return json.dumps(content, indent=1) + "\n"


def differences(
    warehouse: Warehouse, declared: Mapping[str, ObjectSchema], live: Mapping[str, ObjectSchema]
) -> list[str]:
    """Returns one line for each way in which the live objects differ from their declaration.

    Objects that are not declared are left alone: people may keep their own tables beside ours.
    """
    found: list[str] = []
    for name, wanted in sorted(declared.items()):
        actual = live.get(name)
        if actual is None:
            found.append(f"{name}: is missing")
            continue
        found += _entries(f"{name}: column", wanted.columns, actual.columns)
        found += _entries(f"{name}: index", wanted.indices, actual.indices)
        found += [
            f"{name}: {what} is {is_now or 'none'}, declared {should_be or 'none'}"
            for what, is_now, should_be in _properties(wanted, actual)
            if is_now != should_be
        ]
        if not _same_query(warehouse, wanted.query, actual.query):
            found.append(f"{name}: selects something else than declared")
    return found


def _object(
    row: Mapping[str, Any],
    *,
    columns: Mapping[str, str],
    comments: Mapping[str, str],
    indices: Mapping[str, str],
) -> ObjectSchema:
    engine_full = str(row["engine_full"])
    ttl, settings = _TTL.search(engine_full), _SETTINGS.search(engine_full)
    refresh = _REFRESH.search(str(row["create_table_query"]).split(" AS ", 1)[0])
    return ObjectSchema(
        engine=_engine(str(row["engine"]), engine_full),
        partition_key=str(row["partition_key"]),
        sorting_key=str(row["sorting_key"]),
        ttl=ttl[1] if ttl else "",
        settings=_named_settings(settings[1] if settings else ""),
        refresh=refresh[1] if refresh else "",
        columns=columns,
        comments=comments,
        indices=indices,
        query=str(row["as_select"]),
    )


def _engine(engine: str, engine_full: str) -> str:
    plain = _ENGINE_PREFIX.sub("", engine)
    arguments = _ENGINE_ARGUMENTS.match(engine_full)
    listed = [part.strip() for part in arguments[1].split(",")] if arguments else []
    own = [part for part in listed if part and not part.startswith("'")]  # a replica's path, name
    return f"{plain}({', '.join(own)})" if own else plain


def _named_settings(text: str) -> str:
    named = (part.strip() for part in text.split(",") if part.strip())
    return ", ".join(sorted(part for part in named if part.split(" ")[0] not in _SERVER_SETTINGS))


def _properties(wanted: ObjectSchema, actual: ObjectSchema) -> list[tuple[str, str, str]]:
    return [
        ("engine", actual.engine, wanted.engine),
        ("partition key", actual.partition_key, wanted.partition_key),
        ("sorting key", actual.sorting_key, wanted.sorting_key),
        ("retention (TTL)", actual.ttl, wanted.ttl),
        ("refresh schedule", actual.refresh, wanted.refresh),
        ("settings", actual.settings, wanted.settings),
    ]


def _entries(what: str, wanted: Mapping[str, str], actual: Mapping[str, str]) -> list[str]:
    found = [f"{what} {name} is missing" for name in wanted if name not in actual]
    found += [f"{what} {name} is not declared" for name in actual if name not in wanted]
    found += [
        f"{what} {name} is {actual[name]}, declared {declared}"
        for name, declared in wanted.items()
        if name in actual and actual[name] != declared
    ]
    return found


def _same_query(warehouse: Warehouse, wanted: str, actual: str) -> bool:
    """Compares two view queries; a server of another release may print the same one differently."""
    if wanted == actual:
        return True
    if not wanted or not actual:
        return False
    same = warehouse.scalar(
        "SELECT formatQuerySingleLine({wanted:String}) = formatQuerySingleLine({actual:String})",
        {"wanted": wanted, "actual": actual},
    )
    return bool(same)
