"""What lies above and below the tables: the sources that they are read from, the views on them."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import dagster as dg

from masques_pipelines.defs.table_asset import (
    OWNERS,
    SCHEMA_MIGRATIONS,
    table_key,
)
from masques_pipelines.intake.tables import TABLES, IntakeTable
from masques_pipelines.rails.catalog import RAILS
from masques_pipelines.rails.descriptor import RailDescriptor
from masques_pipelines.schema.declared import Declared
from masques_pipelines.schema.files import SqlFile

MARTS: Final = "masques_marts"
SOURCES: Final = "sources"
LEDGER: Final = dg.AssetKey(["tigerbeetle", "ledger"])
LANDING_FILES: Final = dg.AssetKey(["landing", "gate_files"])
EXCHANGE_RATES: Final = dg.AssetKey(["landing", "exchange_rates"])
OTEL_TRACES: Final = dg.AssetKey(["otel", "otel_traces"])
_CHAINS: Final = {"base": "ethereum", "solana": "solana", "lightning": "bitcoin"}
_INTAKE: Final = tuple(table_key(table.name, table.database) for table in TABLES.values())
# The pipeline's own tables (masques_ops) are no assets, but for those that the landing zone feeds.
# The runs of these assets fill those of an area, which is the second part of the name of the file
# that makes them, as in 008_ledger.sql.
_FILLED_WITH: Final[Mapping[str, tuple[dg.AssetKey, ...]]] = {
    "ledger": (table_key("transactions"),),
    "intake": _INTAKE,
    "rails": (table_key("settlements"),),
    "reputation": (table_key("reputation_scores"),),
    "reconciliation": (table_key("payments_log", "masques_ops"),),
}
# Views that a run looks at and reports: assets of defs/.
_REPORTED: Final = frozenset({f"{MARTS}.breaks", f"{MARTS}.position"})
_VIEW: Final = re.compile(r"\bCREATE OR REPLACE VIEW (\S+)")
_COMMENT: Final = re.compile(r"\bCOMMENT '((?:[^']|'')*)'\s*$")
_OBJECT: Final = re.compile(r"\b(masques(?:_ops|_marts)?)\.`?(\w+)`?")


def intake_key(table: IntakeTable) -> dg.AssetKey:
    """Returns the key of a table that the landing zone feeds."""
    return table_key(table.name, table.database)


def rail_key(rail: RailDescriptor) -> dg.AssetKey:
    """Returns the key of what a rail is read from: a node, or files of the landing zone."""
    return dg.AssetKey(["rails" if rail.endpoint_variable else "landing", rail.name])


def sources() -> list[dg.AssetSpec]:
    """Returns the systems outside that the tables are read from; nothing here fills them."""
    return [
        _source(
            LEDGER, "The ledger of record, named by MASQUES_LEDGER_URL. It is only read.", set()
        ),
        _source(
            LANDING_FILES,
            "Files that the 402 gate and its neighbours drop into the landing zone "
            "(MASQUES_LANDING_URL), one folder for each table.",
            {"file"},
        ),
        _source(
            EXCHANGE_RATES,
            "Files of US dollar rates in the landing zone's folder exchange_rates. Without them, "
            "values in dollars are NULL.",
            {"file"},
        ),
        _source(
            OTEL_TRACES,
            "Traces that the OpenTelemetry Collector writes, in the sandbox its world. No table "
            "is made from them: join them by trace_id and span_id, or use `masques trace`.",
            {"clickhouse"},
        ),
        *(_source(rail_key(rail), _rail_text(rail), {_kind(rail)}) for rail in RAILS),
    ]


def _source(key: dg.AssetKey, description: str, kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key, description=description, kinds=kinds, group_name=SOURCES, owners=OWNERS
    )


def _rail_text(rail: RailDescriptor) -> str:
    if rail.endpoint_variable:
        return (
            f"Payments to and from our treasury on {rail.name.capitalize()}, read from the node of "
            f"{rail.endpoint_variable}."
        )
    return (
        "The gate's journal of payments, in the landing zone's folder settlement_journal: the only "
        "link from a payment on a rail to a transfer of the ledger."
    )


def _kind(rail: RailDescriptor) -> str:
    return _CHAINS.get(rail.name, "api") if rail.endpoint_variable else "file"


def marts(declared: Declared, files: Sequence[SqlFile]) -> list[dg.AssetSpec]:
    """Returns the views of masques_marts, each with its SQL and what it selects from.

    They are read from the SQL files and the declared schema: a new view needs no entry here.
    """
    return [
        dg.AssetSpec(
            dg.AssetKey(name.split(".", 1)),
            description=_comment(definition),
            deps=sorted(view_dependencies(name, declared, files)) or [SCHEMA_MIGRATIONS],
            group_name="marts",
            kinds={"clickhouse", "view"},
            owners=OWNERS,
            metadata={
                "dagster/relation_identifier": name,
                "sql": dg.MetadataValue.md(f"```sql\n{definition}\n```"),
            },
        )
        for name, definition in _view_definitions(files).items()
        if name.startswith(f"{MARTS}.") and name in declared.objects.keys() - _REPORTED
    ]


def _view_definitions(files: Sequence[SqlFile]) -> dict[str, str]:
    """Returns the statement that makes each view, by `database.name`."""
    statements = (
        statement for file in files if file.is_views for statement in file.statements(cluster=False)
    )
    return {match[1]: statement for statement in statements if (match := _VIEW.search(statement))}


def _comment(definition: str) -> str | None:
    """Returns a view's own comment, which ends its definition."""
    match = _COMMENT.search(definition)
    return match[1].replace("''", "'") if match else None


def view_dependencies(name: str, declared: Declared, files: Sequence[SqlFile]) -> set[dg.AssetKey]:
    """Returns the tables and marts that a view selects from, through the views of masques_ops.

    Args:
        name: The view, as `database.name`.
        declared: The declared schema.
        files: The SQL files that make it.
    """
    areas = {file.version: file.name.removesuffix(".sql").split("_")[1] for file in files}
    found: set[dg.AssetKey] = set()
    seen = {name}
    waiting = list(_named(declared.objects[name].query, declared))
    while waiting:
        other = waiting.pop()
        if other in seen:
            continue
        seen.add(other)
        database, table = other.split(".", 1)
        query = declared.objects[other].query
        key = dg.AssetKey([database, table])
        if database != "masques_ops" or key in _INTAKE:
            found.add(key)
        elif query:
            waiting += _named(query, declared)
        else:
            found.update(_FILLED_WITH.get(areas.get(declared.created_by[other], ""), ()))
    return found


def _named(query: str, declared: Declared) -> set[str]:
    """Returns the objects that a query names; aliases of the same form are none."""
    names = {f"{database}.{table}" for database, table in _OBJECT.findall(query)}
    return names & declared.objects.keys()
