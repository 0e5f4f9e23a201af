"""The position of an asset beside a chain that a test moves, after the next comparison."""

import uuid
from decimal import Decimal

from masques_pipelines.ledger.chart import load_chart, read_chart
from masques_pipelines.reconciliation.payments import compare_payments
from masques_pipelines.warehouse.client import Warehouse

_LEDGERS = {"USD": 1, "BTC": 2}
_TREASURY_CODE = 100


def open_books(warehouse: Warehouse, asset: str) -> None:
    """Loads the chart, and an empty treasury in the ledger of the asset."""
    load_chart(warehouse, read_chart(None))
    warehouse.insert_json(
        "masques.accounts",
        [
            {
                "account_id": str(uuid.UUID(int=_LEDGERS[asset])),
                "snapshot_at": "2026-11-20 00:00:00",
                "currency": asset,
                "ledger": _LEDGERS[asset],
                "code": _TREASURY_CODE,
            }
        ],
    )


def position_of(warehouse: Warehouse, asset: str) -> tuple[str, Decimal, str]:
    """Compares once and returns the state, what moved unseen, and what is said of the sides."""
    compare_payments(warehouse)
    state, moved, sides = warehouse.row(
        "SELECT state, moved_unseen, arrayStringConcat(sides, '; ') FROM masques_marts.position "
        f"WHERE asset = '{asset}'"
    )
    return str(state), Decimal(moved), str(sides)
