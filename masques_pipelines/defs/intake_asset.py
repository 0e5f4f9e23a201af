"""Makes the asset and the checks of a table that is fed from the landing zone."""

from collections.abc import Iterable, Mapping
from typing import Final

import dagster as dg

from masques_pipelines.defs.cadence import INTAKE
from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.lineage import LANDING_FILES, intake_key
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_asset import (
    records_metadata,
    row_metadata,
    table_asset,
)
from masques_pipelines.intake.channels import read_channels
from masques_pipelines.intake.run import IntakeResult, load_table
from masques_pipelines.intake.tables import TABLES, IntakeTable
from masques_pipelines.landing.listing import by_reason
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

IntakeDefinitions = tuple[
    dg.AssetsDefinition,
    dg.AssetChecksDefinition,
    dg.AssetChecksDefinition,
    dg.AssetChecksDefinition,
]
# The last that was loaded, and the last replay of quarantine. Not of the table: the pipeline's own
# signals are in reputation_events too, and merges drop rows of identities.
_LAST_LOADED: Final = """
SELECT concat(
    toString((
        SELECT max(recorded_at) FROM masques_ops.intake_files FINAL
        WHERE folder = {table:String} AND loaded > 0
    )), ' ', toString((
        SELECT max(updated_at) FROM masques_ops.quarantine FINAL
        WHERE table_name = {table:String} AND state = 'replayed'
    )))
"""
# A preview is for recognising, not for reading.
_CELL_CHARS: Final = 60


def intake_asset(table: IntakeTable, *, group: str, description: str) -> IntakeDefinitions:
    """Returns the asset of a table, then its three checks.

    Args:
        table: The table.
        group: Asset group, which is also the folder in defs/.
        description: Shown in the UI.
    """

    @table_asset(
        table.name,
        database=table.database,
        group=group,
        cadence=INTAKE,
        deps=[LANDING_FILES],
        description=description,
    )
    def load(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource
    ) -> dg.MaterializeResult[None]:
        opened = warehouse.open(context)
        settings = run_settings()
        channels = read_channels(settings.landing_channels)
        done = load_table(
            opened,
            open_landing(settings),
            table,
            channels=channels,
            recent_days=settings.landing_recent_days,
        )
        context.log.info(
            "%s: %d files, %d rows: %d loaded, %d duplicates, %d quarantined",
            table.name,
            len(done.files),
            done.total("rows_read"),
            done.total("loaded"),
            done.total("duplicates"),
            done.total("quarantined"),
        )
        return dg.MaterializeResult(
            metadata=_metadata(opened, done),
            data_version=dg.DataVersion(str(opened.scalar(_LAST_LOADED, {"table": table.name}))),
        )

    return load, _rows_accounted_for(table), _keys_unique(table), _bad_rows_within_limit(table)


def _rows_accounted_for(table: IntakeTable) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=intake_key(table),
        name="rows_accounted_for",
        description=(
            "For every file: rows read = loaded + duplicates + quarantined + blank. A failure "
            "means that rows of the file named below were lost; load the file again."
        ),
    )
    @explained
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> dg.AssetCheckResult:
        files = warehouse.open(context).records(
            sql("intake/rows_accounted_for"), {"folder": table.name}
        )
        return dg.AssetCheckResult(
            passed=not files, metadata={"files": len(files), "first": records_metadata(files[:5])}
        )

    return check


def _keys_unique(table: IntakeTable) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=intake_key(table),
        name="keys_unique",
        description=(
            "No key is there twice among the rows of the last two days. A failure means that two "
            "processes loaded the table at once."
        ),
    )
    @explained
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> dg.AssetCheckResult:
        keys = warehouse.open(context).rows(
            sql("intake/keys_unique"), {"keys": f"{table.name}_keys"}
        )
        return dg.AssetCheckResult(passed=not keys, metadata={"keys": _counts("key", keys)})

    return check


def _bad_rows_within_limit(table: IntakeTable) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=intake_key(table),
        name="bad_rows_within_limit",
        description=(
            "Of the rows of the last day's files, at most MASQUES_INTAKE_BAD_SHARE_MAX are bad, "
            "and every file could be read. `masques intake quarantine show` lists the bad ones."
        ),
    )
    @explained
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> dg.AssetCheckResult:
        limit = run_settings().intake_bad_share_max
        opened = warehouse.open(context)
        rows, bad, failed, files = opened.row(sql("intake/bad_share"), {"folder": table.name})
        reasons = opened.rows(sql("intake/open_reasons"), {"table_name": table.name})
        share = int(bad) / int(rows) if rows else 0.0
        return dg.AssetCheckResult(
            passed=share <= limit and not failed,
            metadata={
                "bad_share": round(share, 6),
                "limit": limit,
                "bad_rows": int(bad),
                "files": int(files),
                "files_failed": int(failed),
                "top_reasons_open": _counts("reason", reasons),
            },
        )

    return check


@dg.asset_check(
    asset=LANDING_FILES,
    name="nothing_passed_over",
    additional_deps=[intake_key(table) for table in TABLES.values()],
    description=(
        "Everything in the landing zone is read, but for hidden files. A warning names what is "
        "not: unknown endings and folders, links, times in the future, uploads that died; and "
        "files that were rewritten in place. docs/intake.md says what to do about each."
    ),
)
@explained
def nothing_passed_over(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Warns of what the newest runs found in the landing zone and did not read."""
    found = warehouse.open(context).records(sql("intake/passed_over"))
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "files": sum(int(each["files"]) for each in found),
            "found": records_metadata(found),
        },
    )


def _metadata(warehouse: Warehouse, done: IntakeResult) -> dict[str, dg.MetadataValue]:
    table = done.table
    names = {"database": table.database, "table": table.name}
    total = warehouse.scalar(sql("intake/rows_total"), names)
    found = {
        **row_metadata(rows_written=done.total("loaded"), rows_total=int(total)),
        "files": dg.MetadataValue.int(len(done.files)),
        "files_failed": dg.MetadataValue.int(done.files_failed),
        "files_left": dg.MetadataValue.int(done.files_left),
        "files_waiting": dg.MetadataValue.int(done.waiting),
        "folders_unlisted": dg.MetadataValue.int(len(done.unlisted)),
        "files_rewritten": dg.MetadataValue.int(done.files_rewritten),
        "files_passed_over": dg.MetadataValue.int(len(done.passed_over)),
        "passed_over": records_metadata(
            {"reason": reason, "files": count, "first": first}
            for reason, count, first in by_reason(done.passed_over)
        ),
        "rows_read": dg.MetadataValue.int(done.total("rows_read")),
        "duplicates": dg.MetadataValue.int(done.total("duplicates")),
        "quarantined": dg.MetadataValue.int(done.total("quarantined")),
        "unknown_fields": dg.MetadataValue.int(done.total("unknown_fields")),
        "rows_per_s": dg.MetadataValue.float(round(done.rows_per_s, 1)),
        "top_reasons": _counts("reason", done.top_reasons()),
        "findings_7d": _counts(
            "finding", warehouse.rows(sql("intake/findings"), {"table_name": table.name})
        ),
        "preview": _preview(warehouse, table),
    }
    if done.newest_ns:
        found["newest_event"] = dg.MetadataValue.timestamp(done.newest_ns / 1e9)
    return found


def _counts(name: str, counts: Iterable[tuple[object, ...]]) -> dg.MetadataValue:
    """Returns counts by name as a small table."""
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string"), dg.TableColumn("rows", "int")])
    records = [dg.TableRecord({name: str(key), "rows": int(str(rows))}) for key, rows, *_ in counts]
    return dg.MetadataValue.table(records, schema=schema)


def _preview(warehouse: Warehouse, table: IntakeTable) -> dg.MetadataValue:
    rows: list[Mapping[str, object]] = [
        {name: str(value)[:_CELL_CHARS] for name, value in row.items()}
        for row in warehouse.records(
            sql("intake/preview"),
            {"database": table.database, "table": table.name, "event_time": table.event_time},
        )
    ]
    return records_metadata(rows)
