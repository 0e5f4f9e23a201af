"""The root asset: the schema, brought up to date by the migration op. Every table depends on it."""

import time

import dagster as dg

from masques_pipelines.defs.cadence import LEDGER_SYNC
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import OWNERS, SCHEMA_MIGRATIONS, source_of
from masques_pipelines.sandbox.collector import deliver_spans
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.sandbox.stand_ins import mode_text
from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import sql_files
from masques_pipelines.schema.migrations import migrate


@dg.op(out=dg.Out(dg.Nothing))  # a pickle would be kept of any other output
@explained
def apply_migrations(
    context: dg.OpExecutionContext, warehouse: WarehouseResource
) -> dg.Output[None]:
    """Applies every SQL file that is due, in order."""
    started_s = time.monotonic()
    settings = run_settings()
    opened = warehouse.open(context, needs_schema=False)
    applied = migrate(opened)
    # Before any asset writes a row.
    stamp_warehouse(opened, settings)
    spans = deliver_spans(opened, settings) if settings.sandbox_folder else None
    newest = max(file.version for file in sql_files() if not file.is_views)
    views_version = declared_schema().views_version
    return dg.Output(
        None,
        metadata={
            "mode": mode_text(settings),
            "applied": len(applied),
            "applied_files": ", ".join(applied) or "none",
            "schema_version": newest,
            "views_version": views_version,
            **({} if spans is None else {"spans": spans.refused or f"{spans.rows:,} written"}),
            "duration_s": round(time.monotonic() - started_s, 3),
        },
        data_version=dg.DataVersion(f"{newest} {views_version}"),
    )


def _migrate() -> None:
    return apply_migrations()  # type: ignore[no-any-return]  # an op called in a graph is a node


schema_migrations = dg.graph_asset(
    key=SCHEMA_MIGRATIONS,
    group_name="schema",
    kinds={"clickhouse", "sql"},
    owners=list(OWNERS),
    metadata={"dagster/code_references": source_of(migrate)},
    description=(
        "The schema of the three databases, as the numbered files and the view files of sql/ make "
        "it. Refuses edited or missing numbered files, files of a newer checkout, and live objects "
        "that differ from their definition."
    ),
)(_migrate).map_asset_specs(
    # It is part of every job, so it is as fresh as the one that runs most often.
    lambda spec: spec.replace_attributes(freshness_policy=LEDGER_SYNC.freshness())
)
