"""The asset masques/accounts: balances of all ledger accounts at exact ledger times."""

import dagster as dg

from masques_pipelines.defs.failures import RETRY_POLICY, explained_failures
from masques_pipelines.defs.migrations import SCHEMA_MIGRATIONS
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource
from masques_pipelines.defs.table_metadata import (
    OWNERS,
    static_metadata,
    sync_metadata,
    table_metadata,
)
from masques_pipelines.ledger.accounts import sync_accounts


@dg.asset(
    key=["masques", "accounts"],
    deps=[SCHEMA_MIGRATIONS],
    group_name="ledger",
    kinds={"clickhouse", "tigerbeetle"},
    owners=OWNERS,
    metadata=static_metadata("masques.accounts"),
    retry_policy=RETRY_POLICY,
)
def accounts(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> dg.MaterializeResult[None]:
    """Balances of every ledger account, each at the exact ledger time snapshot_at.

    A row is written only when something of the account changed; read it with FINAL.
    """
    with explained_failures(context):
        done = sync_accounts(warehouse.open(context), ledger.open(), ledger.chart())
    context.log.info("%d rows written, %d accounts in all", done.rows_written, done.rows_total)
    return dg.MaterializeResult(
        metadata={
            **table_metadata(
                "masques.accounts", rows_written=done.rows_written, rows_total=done.rows_total
            ),
            **sync_metadata(
                watermark_ns=done.watermark_ns,
                lag_s=done.lag_s,
                pages=done.pages,
                rows_per_s=done.rows_per_s,
            ),
            "accounts_read": done.accounts_read,
        }
    )
