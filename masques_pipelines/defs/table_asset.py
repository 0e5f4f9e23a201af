"""What every table asset is and reports, set once: key, root, owners, freshness, columns, code."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from masques_pipelines.defs.cadence import Cadence
from masques_pipelines.defs.failures import explained
from masques_pipelines.schema.declared import Declared
from masques_pipelines.warehouse.sql import sql_directory

# In a check's metadata: it has no result while what it looks at is switched off.
MAY_BE_SILENT: Final = "no result while it is off"
OWNERS: Final = ("team:payments",)
SCHEMA_MIGRATIONS: Final = dg.AssetKey(["masques_ops", "schema_migrations"])

_LARGEST_EXACT_INTEGER: Final = 2**53  # in the UI, whose numbers are JavaScript's


def table_key(table: str, database: str = "masques") -> dg.AssetKey:
    """Returns the asset key of a table."""
    return dg.AssetKey([database, table])


def table_asset(  # noqa: PLR0913 - what differs between two tables, by name
    table: str,
    *,
    group: str,
    cadence: Cadence,
    database: str = "masques",
    deps: Iterable[dg.AssetKey] = (),
    kinds: Iterable[str] = (),
    check_specs: Sequence[dg.AssetCheckSpec] | None = None,
    description: str | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorates the function that fills a table.

    Args:
        table: Its name.
        group: Asset group, which is also the folder in defs/.
        cadence: The schedule that fills it; its freshness follows from that.
        database: Its database.
        deps: What it is made of. The schema comes by itself.
        kinds: Icons beside ClickHouse's.
        check_specs: Checks whose results the function returns.
        description: Shown in the UI; the function's docstring when it is not given.
    """

    def decorate(function: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.asset(
            key=table_key(table, database),
            deps=[SCHEMA_MIGRATIONS, *deps],
            group_name=group,
            kinds={"clickhouse", *kinds},
            owners=OWNERS,
            metadata={
                "dagster/relation_identifier": f"{database}.{table}",
                "dagster/code_references": source_of(function),
            },
            freshness_policy=cadence.freshness(),
            check_specs=check_specs,
            description=description,
        )(explained(function))

    return decorate


def source_of(function: Callable[..., Any]) -> dg.CodeReferencesMetadataValue:
    """Returns where a function is defined, for the UI's link to the code."""
    code = inspect.unwrap(function).__code__
    return _references([(code.co_filename, code.co_firstlineno, None)])


def _references(
    places: Iterable[tuple[str, int | None, str | None]],
) -> dg.CodeReferencesMetadataValue:
    with warnings.catch_warnings(action="ignore"):  # Dagster says at each use that it may change
        return dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=path, line_number=line, label=label)
                for path, line, label in places
            ]
        )


def with_declared_columns(spec: dg.AssetSpec, declared: Declared) -> dg.AssetSpec:
    """Adds the declared columns of a table to its asset, and the SQL file that makes it."""
    name = ".".join(spec.key.path)
    if name not in declared.objects:
        return spec
    known = spec.metadata.get("dagster/code_references")
    places: list[tuple[str, int | None, str | None]] = [
        (each.file_path, each.line_number, each.label)
        for each in getattr(known, "code_references", ())
    ]
    files = sorted(sql_directory().glob(f"{declared.created_by[name]:03d}_*.sql"))
    places += [(str(file), None, file.name) for file in files]
    return spec.merge_attributes(
        metadata={
            "dagster/column_schema": column_schema(name, declared),
            "dagster/code_references": _references(places),
        }
    )


def column_schema(name: str, declared: Declared) -> dg.TableSchema:
    """Returns the declared columns of a table or view, `database.name`."""
    schema = declared.objects[name]
    constraints = [f"ENGINE = {schema.engine}"]
    constraints += [
        f"{clause} {value}"
        for clause, value in (
            ("ORDER BY", schema.sorting_key),
            ("PARTITION BY", schema.partition_key),
            ("TTL", schema.ttl),
        )
        if value
    ]
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column,
                kind,
                # The UI reads Markdown, where `<n>` would be a tag and vanish.
                description=schema.comments.get(column, "").replace("<", r"\<") or None,
                constraints=dg.TableColumnConstraints(nullable="Nullable(" in kind),
            )
            for column, kind in schema.columns.items()
        ],
        constraints=dg.TableConstraints(other=constraints),
    )


def row_metadata(*, rows_written: int, rows_total: int) -> dict[str, dg.MetadataValue]:
    """Returns what every run of a table asset reports: rows written and rows in all."""
    return {
        "rows_written": dg.MetadataValue.int(rows_written),
        "dagster/row_count": dg.MetadataValue.int(rows_total),
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


def records_metadata(records: Iterable[Mapping[str, object]]) -> dg.MetadataValue:
    """Returns rows as a table of the UI, numbers only where it shows them exactly."""
    rows = [dg.TableRecord({name: _shown(v) for name, v in row.items()}) for row in records]
    if not rows:  # Dagster takes no table without columns
        return dg.MetadataValue.text("none")
    return dg.MetadataValue.table(rows)


def _shown(value: object) -> str | int | float:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, int) and abs(value) < _LARGEST_EXACT_INTEGER:
        return value
    return str(value)
