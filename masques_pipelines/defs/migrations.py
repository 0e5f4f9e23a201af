"""The root asset: the schema, brought up to date by the migration op. Every table depends on it."""

import hashlib
import time
from collections.abc import Iterable

import dagster as dg

from masques_pipelines.defs.cadence import LEDGER_SYNC
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.defs.table_asset import OWNERS, SCHEMA_MIGRATIONS, source_of
from masques_pipelines.schema.migrations import MigrationFile, migrate, migration_files


@dg.op(out=dg.Out(dg.Nothing))  # a pickle would be kept of any other output
@explained
def apply_migrations(
    context: dg.OpExecutionContext, warehouse: WarehouseResource
) -> dg.Output[None]:
    """Applies every file of `sql/` that is due, in order."""
    started_s = time.monotonic()
    applied = migrate(warehouse.open(context))
    files = migration_files()
    return dg.Output(
        None,
        metadata={
            "applied": len(applied),
            "applied_files": ", ".join(applied) or "none",
            "schema_version": files[-1].version,
            "duration_s": round(time.monotonic() - started_s, 3),
        },
        data_version=dg.DataVersion(_digest(files)),
    )


def _digest(files: Iterable[MigrationFile]) -> str:
    """Returns what the schema is by the text of all files: views are edited in place."""
    texts = "\n".join(f"{file.name} {file.checksum}" for file in files)
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


def _migrate() -> None:
    return apply_migrations()  # type: ignore[no-any-return]  # an op called in a graph is a node


schema_migrations = dg.graph_asset(
    key=SCHEMA_MIGRATIONS,
    group_name="schema",
    kinds={"clickhouse", "sql"},
    owners=list(OWNERS),
    metadata={"dagster/code_references": source_of(migrate)},
    description=(
        "The schema of the three databases, as the numbered files of sql/ make it. Refuses edited "
        "or missing files and live tables that differ from their definition."
    ),
)(_migrate).map_asset_specs(
    # It is part of every job, so it is as fresh as the one that runs most often.
    lambda spec: spec.replace_attributes(freshness_policy=LEDGER_SYNC.freshness())
)
