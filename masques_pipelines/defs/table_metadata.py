"""What every table asset reports of itself, in the same words.

Here: the metadata that is common to table assets.
Not here: what an asset counts (the sync functions return that).
A re-run of an asset replaces nothing: Dagster keeps each materialization's metadata and plots it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from masques_pipelines.schema.declared import declared_schema

OWNERS: Final = ("team:payments",)


def static_metadata(table: str) -> dict[str, str]:
    """Returns what is known of a table before any run; table is `database.name`."""
    return {"dagster/relation_identifier": table}


def table_metadata(
    table: str, *, rows_written: int, rows_total: int
) -> dict[str, dg.MetadataValue]:
    """Returns row counts and the column schema of a table, `database.name`."""
    return {
        "rows_written": dg.MetadataValue.int(rows_written),
        "dagster/row_count": dg.MetadataValue.int(rows_total),
        "dagster/column_schema": dg.MetadataValue.table_schema(column_schema(table)),
    }


def sync_metadata(
    *, watermark_ns: int, lag_s: float, pages: int, rows_per_s: float
) -> Mapping[str, dg.MetadataValue]:
    """Returns how far a sync came, and how fast it was.

    Args:
        watermark_ns: Ledger time up to which the table is complete.
        lag_s: Seconds from there to now.
        pages: Replies of the source.
        rows_per_s: Rows read and inserted per second.
    """
    whole_s, rest_ns = divmod(watermark_ns, 10**9)
    moment = datetime.fromtimestamp(whole_s, UTC)
    return {
        "watermark": dg.MetadataValue.text(f"{moment:%Y-%m-%d %H:%M:%S}.{rest_ns:09d} UTC"),
        "watermark_time": dg.MetadataValue.timestamp(moment),
        "lag_s": dg.MetadataValue.float(round(lag_s, 3)),
        "pages": dg.MetadataValue.int(pages),
        "rows_per_s": dg.MetadataValue.float(round(rows_per_s, 1)),
    }


def column_schema(table: str) -> dg.TableSchema:
    """Returns the declared columns of a table, `database.name`."""
    declared = declared_schema().objects[table]
    constraints = [f"ENGINE = {declared.engine}", f"ORDER BY {declared.sorting_key}"]
    if declared.partition_key:
        constraints.append(f"PARTITION BY {declared.partition_key}")
    if declared.ttl:
        constraints.append(f"TTL {declared.ttl}")
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                kind,
                # The UI reads Markdown, where `<n>` would be a tag and vanish.
                description=declared.comments.get(name, "").replace("<", r"\<") or None,
                constraints=dg.TableColumnConstraints(nullable="Nullable(" in kind),
            )
            for name, kind in declared.columns.items()
        ],
        constraints=dg.TableConstraints(other=constraints),
    )
