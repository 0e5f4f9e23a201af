"""Attributes settlements to ledger accounts.

First by the payment's own reference (the ledger transfer that the gate's journal names), then by
the registry of payers' addresses. Never by amount, memo or symbol: anybody can pay the same amount,
copy a memo, or name a token. A settlement that neither leads to an account stays unattributed.
"""

from datetime import UTC, datetime
from typing import Final

from masques_pipelines.rails.protocol import UNATTRIBUTED
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# The platform's own side of a payment, as the ledger's chart calls it.
TREASURY_TYPE: Final = "treasury"
_UNATTRIBUTED_TOTAL: Final = """
SELECT count() FROM masques_marts.settlements_current
WHERE from_account_id = toUUID({unattributed:String})
"""


def link_settlements(warehouse: Warehouse) -> int:
    """Appends a revision with its account to each settlement whose account has become known.

    Returns:
        How many settlements are attributed that were not before.
    """
    before = _unattributed(warehouse)
    warehouse.command(
        sql("rails/link_settlements"),
        {
            "unattributed": str(UNATTRIBUTED),
            "treasury_type": TREASURY_TYPE,
            "recorded_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        },
    )
    return before - _unattributed(warehouse)


def _unattributed(warehouse: Warehouse) -> int:
    return int(warehouse.scalar(_UNATTRIBUTED_TOTAL, {"unattributed": str(UNATTRIBUTED)}))
