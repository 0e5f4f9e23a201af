"""The asset masques_ops/payments_log: what is said of each payment."""

from typing import Final

import dagster as dg

from masques_pipelines.defs.cadence import RECONCILIATION
from masques_pipelines.defs.resources import WarehouseResource
from masques_pipelines.defs.table_asset import (
    row_metadata,
    table_asset,
    table_key,
)
from masques_pipelines.reconciliation.payments import compare_payments

KEY: Final = table_key("payments_log", "masques_ops")
_CONTENT: Final = """\
SELECT concat(sum(sign), ' ', hex(sum(sign * cityHash64(content)))) FROM masques_ops.payments_log
"""
_TOTALS: Final = "SELECT count(), sum(sign) FROM masques_ops.payments_log"


@table_asset(
    "payments_log",
    group="reconciliation",
    cadence=RECONCILIATION,
    database="masques_ops",
    deps=[
        table_key("transactions"),
        table_key("accounts"),
        table_key("api_requests"),
        table_key("masque_sessions"),
        table_key("payment_links", "masques_ops"),
        table_key("settlements"),
    ],
)
def payments_log(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult[None]:
    """What is said of each payment: gate, ledger and rail compared, as far as each was read."""
    opened = warehouse.open(context)
    done = compare_payments(opened)
    rows, payments = opened.row(_TOTALS)
    return dg.MaterializeResult(
        metadata={
            **row_metadata(rows_written=done.rows_written, rows_total=int(rows)),
            "payments": int(payments),
            "compared": "everything" if done.is_full else "what is new",
        },
        data_version=dg.DataVersion(str(opened.scalar(_CONTENT))),
    )
