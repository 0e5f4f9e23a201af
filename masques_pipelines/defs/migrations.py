"""The root asset: brings the schema up to date; every table asset depends on it.

A run without anything due takes three small queries.
"""

import time
from typing import Final

import dagster as dg

from masques_pipelines.defs.failures import RETRY_POLICY, explained_failures
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.sandbox.stand_ins import mode_text
from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import sql_files
from masques_pipelines.schema.migrations import migrate

SCHEMA_MIGRATIONS: Final = dg.AssetKey(["masques_ops", "schema_migrations"])


@dg.op(retry_policy=RETRY_POLICY)
def apply_migrations(context: dg.OpExecutionContext, warehouse: WarehouseResource) -> None:
    """Applies every SQL file that is due, in order."""
    started_s = time.monotonic()
    with explained_failures(context):
        settings = run_settings()
        opened = warehouse.open(context)
        applied = migrate(opened)
        # Before any asset writes a row.
        stamp_warehouse(opened, settings)
    newest = max(file.version for file in sql_files() if not file.is_views)
    context.add_output_metadata(
        {
            "mode": mode_text(settings),
            "applied": len(applied),
            "applied_files": ", ".join(applied) or "none",
            "schema_version": newest,
            "views_version": declared_schema().views_version,
            "duration_s": round(time.monotonic() - started_s, 3),
        }
    )


@dg.graph_asset(
    key=SCHEMA_MIGRATIONS,
    group_name="schema",
    kinds={"clickhouse", "sql"},
    owners=["team:payments"],
    description=(
        "The schema of the three databases, as the numbered files and the view files of sql/ make "
        "it. Refuses edited or missing numbered files, files of a newer checkout, and live objects "
        "that differ from their definition."
    ),
)
def schema_migrations() -> None:
    """Brings the schema up to date."""
    return apply_migrations()  # type: ignore[no-any-return]  # an op called in a graph is a node
