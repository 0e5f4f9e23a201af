"""The asset masques/transactions: every change event of the ledger, exactly once."""

import dagster as dg

from masques_pipelines.defs.failures import RETRY_POLICY, explained_failures
from masques_pipelines.defs.ledger.accounts import accounts
from masques_pipelines.defs.migrations import SCHEMA_MIGRATIONS
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource
from masques_pipelines.defs.table_metadata import (
    OWNERS,
    static_metadata,
    sync_metadata,
    table_metadata,
)
from masques_pipelines.ledger.transactions import sync_transactions


@dg.asset(
    key=["masques", "transactions"],
    # After the accounts, so that the events reach past the balances' ledger time: then the balances
    # can be proved from the events.
    deps=[SCHEMA_MIGRATIONS, accounts],
    group_name="ledger",
    kinds={"clickhouse", "tigerbeetle"},
    owners=OWNERS,
    metadata=static_metadata("masques.transactions"),
    retry_policy=RETRY_POLICY,
)
def transactions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> dg.MaterializeResult[None]:
    """One row per change event of the ledger: payments, holds, posts, voids and expiries.

    A hold and its post are two rows: sum the views of masques_marts, never this table.
    """
    with explained_failures(context):
        done = sync_transactions(warehouse.open(context), ledger.open(), ledger.chart())
    context.log.info("%d rows written, %d transactions in all", done.rows_written, done.rows_total)
    return dg.MaterializeResult(
        metadata={
            **table_metadata(
                "masques.transactions", rows_written=done.rows_written, rows_total=done.rows_total
            ),
            **sync_metadata(
                watermark_ns=done.watermark_ns,
                lag_s=done.lag_s,
                pages=done.pages,
                rows_per_s=done.rows_per_s,
            ),
            "events_read": done.events_read,
            # Kept here too, out of reach of who can write to ClickHouse: `masques verify --seal`.
            "seal": done.seal,
        }
    )
