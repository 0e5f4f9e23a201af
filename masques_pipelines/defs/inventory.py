"""Checks that every table still holds what was written to it.

Rows are compared in each run of the table's job. Content and files are read by inventory_job, a
part each hour, so that each day of each table is read once a day.
"""

from collections.abc import Callable, Iterator
from typing import Final

import dagster as dg

from masques_pipelines.defs.failures import explained
from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.defs.table_asset import SCHEMA_MIGRATIONS, table_key
from masques_pipelines.inventory.proofs import (
    TableProof,
    prove_content,
    prove_files,
    prove_nothing_changed,
    prove_parts,
    prove_rows,
    prove_scores,
)
from masques_pipelines.inventory.tables import TABLES, Table
from masques_pipelines.warehouse.client import Warehouse

_SCORES: Final = table_key("reputation_scores")


_ROWS: Final = (
    "Each day has as many rows as were written to it. A failure names the days that lost rows or "
    "have too many."
)
_CONTENT: Final = (
    "Every row has the content that was written, read a part each hour so that each day is read "
    "within a day."
)


def _compared(
    table: Table, name: str, what: str, prove: Callable[[Warehouse, Table], TableProof]
) -> dg.AssetChecksDefinition:
    """Returns a check that compares a table with what was written to it."""

    @dg.asset_check(
        asset=table_key(table.asset, table.asset_database),
        name=name,
        description=f"{what} What restores it: {table.restored_by}.",
    )
    @explained
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> dg.AssetCheckResult:
        return _result(prove(warehouse.open(context), table))

    return check


rows = [_compared(table, "rows_are_there", _ROWS, prove_rows) for table in TABLES]
content = [_compared(table, "content_is_unchanged", _CONTENT, prove_content) for table in TABLES]


@dg.asset_check(
    asset=_SCORES,
    name="computed_as_said",
    description=(
        "Every score is what its query gives for the moment that it is of, by what was known then. "
        "What restores it: masques reputation recompute."
    ),
)
@explained
def computed_as_said(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails on scores that were changed, removed or added."""
    return _result(prove_scores(warehouse.open(context)))


@dg.multi_asset_check(
    name="nothing_is_lost",
    specs=[
        dg.AssetCheckSpec(
            "parts_are_read",
            asset=SCHEMA_MIGRATIONS,
            description=(
                "No part of a table was put aside, by the engine as broken or by hand: its rows "
                "would be in no answer."
            ),
        ),
        dg.AssetCheckSpec(
            "rows_are_unchanged",
            asset=SCHEMA_MIGRATIONS,
            description=(
                "No statement changed or deleted rows; nothing of this project ever does. A "
                "failure names the statement and its time."
            ),
        ),
    ],
)
@explained
def nothing_is_lost(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> Iterator[dg.AssetCheckResult]:
    """Looks for parts that are not read and for rows that were changed by hand."""
    opened = warehouse.open(context)
    yield _result(prove_parts(opened), "parts_are_read")
    yield _result(prove_nothing_changed(opened), "rows_are_unchanged")


@dg.asset_check(
    asset=SCHEMA_MIGRATIONS,
    name="files_are_readable",
    description=(
        "The files of each partition have the content of their checksums, read a part each hour "
        "so that each partition is read within a day."
    ),
)
@explained
def files_are_readable(
    context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
) -> dg.AssetCheckResult:
    """Fails on files that a disk damaged."""
    return _result(prove_files(warehouse.open(context)))


# What inventory_job runs, and the other jobs do not.
ROTATION: Final = (
    *(
        dg.AssetCheckKey(table_key(table.asset, table.asset_database), "content_is_unchanged")
        for table in TABLES
    ),
    dg.AssetCheckKey(_SCORES, "computed_as_said"),
    dg.AssetCheckKey(SCHEMA_MIGRATIONS, "files_are_readable"),
)


def _result(proof: TableProof, name: str | None = None) -> dg.AssetCheckResult:
    """Returns a proof as a result; without anything written there is nothing that could be lost."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=proof.outcome != "fails",
        description="\n".join((proof.summary, *proof.findings)),
        metadata={"findings": len(proof.findings), "compared": proof.summary},
    )
