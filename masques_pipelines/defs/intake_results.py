"""What the assets that are fed from the landing zone have in common.

Here: running the intake of one table within an asset, and what the asset and its checks report.
Not here: the assets (one file per table) and the intake itself (intake/).
A re-run loads what no run has loaded yet; the same rows again change nothing.
"""

from typing import Any

import dagster as dg

from masques_pipelines.defs.failures import explained_failures
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.defs.table_metadata import table_metadata
from masques_pipelines.intake.run import IntakeResult, load_table
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.landing.zone import open_landing
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# A preview is for recognising, not for reading.
_CELL_CHARS = 60


def loaded_table(
    context: dg.AssetExecutionContext, resource: WarehouseResource, table: IntakeTable
) -> dg.MaterializeResult[None]:
    """Loads what is due of one table and returns what the asset reports."""
    with explained_failures(context):
        warehouse = resource.open(context)
        done = load_table(warehouse, open_landing(run_settings()), table)
        metadata = _metadata(warehouse, done)
    context.log.info(
        "%s: %d files, %d rows: %d loaded, %d duplicates, %d quarantined",
        table.name,
        len(done.files),
        done.total("rows_read"),
        done.total("loaded"),
        done.total("duplicates"),
        done.total("quarantined"),
    )
    return dg.MaterializeResult(metadata=metadata)


def _metadata(warehouse: Warehouse, done: IntakeResult) -> dict[str, dg.MetadataValue]:
    table = done.table
    total = warehouse.scalar(sql("intake/rows_total"), {"table": table.name})
    found: dict[str, dg.MetadataValue] = {
        **table_metadata(table.target, rows_written=done.total("loaded"), rows_total=int(total)),
        "files": dg.MetadataValue.int(len(done.files)),
        "files_failed": dg.MetadataValue.int(done.files_failed),
        "files_left": dg.MetadataValue.int(done.files_left),
        "rows_read": dg.MetadataValue.int(done.total("rows_read")),
        "duplicates": dg.MetadataValue.int(done.total("duplicates")),
        "quarantined": dg.MetadataValue.int(done.total("quarantined")),
        "unknown_fields": dg.MetadataValue.int(done.total("unknown_fields")),
        "rows_per_s": dg.MetadataValue.float(round(done.rows_per_s, 1)),
        "top_reasons": counts_metadata("reason", done.top_reasons()),
        "findings_7d": counts_metadata(
            "finding", warehouse.rows(sql("intake/findings"), {"table_name": table.name})
        ),
        "preview": _preview(warehouse, table),
    }
    if done.newest_ns:
        found["newest_event"] = dg.MetadataValue.timestamp(done.newest_ns / 1e9)
    return found


def counts_metadata(name: str, counts: Any) -> dg.MetadataValue:
    """Returns counts by name as a small table."""
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string"), dg.TableColumn("rows", "int")])
    records = [dg.TableRecord({name: str(key), "rows": int(rows)}) for key, rows, *_ in counts]
    return dg.MetadataValue.table(records, schema=schema)


def _preview(warehouse: Warehouse, table: IntakeTable) -> dg.MetadataValue:
    rows = warehouse.records(
        sql("intake/preview"), {"table": table.name, "event_time": table.event_time}
    )
    names = [dg.TableColumn(name, "string") for name in (rows[0] if rows else ())]
    records = [
        dg.TableRecord({name: str(value)[:_CELL_CHARS] for name, value in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=names))
