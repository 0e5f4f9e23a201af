"""The asset masques/transactions: every change event of the ledger, exactly once."""

import dagster as dg

from masques_pipelines.defs.cadence import LEDGER_SYNC
from masques_pipelines.defs.ledger.kept_seals import SEAL, SEAL_SEQUENCE
from masques_pipelines.defs.lineage import LEDGER
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource
from masques_pipelines.defs.table_asset import (
    row_metadata,
    sync_metadata,
    table_asset,
    table_key,
)
from masques_pipelines.ledger.transactions import sync_transactions


# After the accounts, so that the events reach past the balances' ledger time: then the balances can
# be proved from the events.
@table_asset(
    "transactions", group="ledger", cadence=LEDGER_SYNC, deps=[LEDGER, table_key("accounts")]
)
def transactions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> dg.MaterializeResult[None]:
    """One row per change event of the ledger: payments, holds, posts, voids and expiries.

    A hold and its post are two rows: sum the views of masques_marts, never this table.
    """
    done = sync_transactions(warehouse.open(context), ledger.open(), ledger.chart())
    context.log.info("%d rows written, %d transactions in all", done.rows_written, done.rows_total)
    return dg.MaterializeResult(
        metadata={
            **row_metadata(rows_written=done.rows_written, rows_total=done.rows_total),
            **sync_metadata(
                watermark_ns=done.watermark_ns,
                lag_s=done.lag_s,
                pages=done.pages,
                rows_per_s=done.rows_per_s,
            ),
            "events_read": done.events_read,
            # Kept here too, out of reach of who can write to ClickHouse: the checks compare.
            SEAL: done.seal,
            SEAL_SEQUENCE: done.seal_sequence,
        },
        data_version=dg.DataVersion(done.seal or "no event is sealed"),
    )
