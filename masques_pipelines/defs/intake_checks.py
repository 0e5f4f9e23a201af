"""The checks that every table of the landing zone has.

Here: one function per check, which makes it for a table.
Not here: the SQL that finds what is wrong (sql/checks/intake/).
A re-run checks again and changes nothing.
"""

import dagster as dg

from masques_pipelines.defs.failures import explained_failures
from masques_pipelines.defs.intake_results import counts_metadata
from masques_pipelines.defs.resources import WarehouseResource, run_settings
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.warehouse.sql import sql


def rows_accounted_for(table: IntakeTable) -> dg.AssetChecksDefinition:
    """Makes the check that nothing of any file was lost."""

    @dg.asset_check(
        asset=["masques", table.name],
        name=f"{table.name}__rows_accounted_for",
        description="Rows read = loaded + duplicates + quarantined + blank, for every file.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> dg.AssetCheckResult:
        with explained_failures(context):
            files = warehouse.open(context).records(
                sql("intake/rows_accounted_for"), {"folder": table.name}
            )
        return dg.AssetCheckResult(
            passed=not files,
            metadata={
                "files": len(files),
                "first": dg.MetadataValue.json(
                    {name: str(value) for name, value in files[0].items()} if files else {}
                ),
            },
        )

    return check


def keys_unique(table: IntakeTable) -> dg.AssetChecksDefinition:
    """Makes the check that no key is in the table twice."""

    @dg.asset_check(
        asset=["masques", table.name],
        name=f"{table.name}__keys_unique",
        description="No key is there twice among the rows of the last two days.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> dg.AssetCheckResult:
        with explained_failures(context):
            keys = warehouse.open(context).rows(
                sql("intake/keys_unique"), {"keys": f"{table.name}_keys"}
            )
        return dg.AssetCheckResult(passed=not keys, metadata={"keys": counts_metadata("key", keys)})

    return check


def bad_rows_within_limit(table: IntakeTable) -> dg.AssetChecksDefinition:
    """Makes the check that few of the rows of the last day are bad."""

    @dg.asset_check(
        asset=["masques", table.name],
        name=f"{table.name}__bad_rows_within_limit",
        description=(
            "Bad rows of the files of the last day are at most MASQUES_INTAKE_BAD_SHARE_MAX of "
            "all, and every file could be read."
        ),
    )
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> dg.AssetCheckResult:
        with explained_failures(context):
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
                "top_reasons_open": counts_metadata("reason", reasons),
            },
        )

    return check
