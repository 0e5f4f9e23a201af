"""The asset masques/accounts: balances of all ledger accounts at exact ledger times."""

from typing import Final

import dagster as dg

from masques_pipelines.defs.cadence import LEDGER_SYNC
from masques_pipelines.defs.lineage import LEDGER
from masques_pipelines.defs.resources import LedgerResource, WarehouseResource
from masques_pipelines.defs.table_asset import row_metadata, sync_metadata, table_asset
from masques_pipelines.ledger.accounts import sync_accounts

_NEWEST_SNAPSHOT: Final = "SELECT toString(max(snapshot_at)) FROM masques.accounts"


@table_asset("accounts", group="ledger", cadence=LEDGER_SYNC, deps=[LEDGER])
def accounts(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, ledger: LedgerResource
) -> dg.MaterializeResult[None]:
    """Balances of every ledger account, each at the exact ledger time snapshot_at.

    A row is written only when something of the account changed; read it with FINAL.
    """
    opened = warehouse.open(context)
    done = sync_accounts(opened, ledger.open(), ledger.chart())
    context.log.info("%d rows written, %d accounts in all", done.rows_written, done.rows_total)
    return dg.MaterializeResult(
        metadata={
            **row_metadata(rows_written=done.rows_written, rows_total=done.rows_total),
            **sync_metadata(
                watermark_ns=done.watermark_ns,
                lag_s=done.lag_s,
                pages=done.pages,
                rows_per_s=done.rows_per_s,
            ),
            "accounts_read": done.accounts_read,
        },
        data_version=dg.DataVersion(str(opened.scalar(_NEWEST_SNAPSHOT))),
    )
