"""Which account and which ledger transfer a settlement belongs to.

Here: attribution by the payment's own reference, then by the registry of payers' addresses.
Not here: what a rail says of a payment.
A re-run attributes what has become known since; everything else stays as it is.

Never by amount, memo or symbol: anybody can pay the same amount, copy a memo, or name a token. A
settlement that neither way leads from stays unattributed.
"""

from datetime import UTC, datetime
from typing import Final

from masques_pipelines.rails.protocol import UNATTRIBUTED
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# The account of ours on the other side of a payment, as the ledger's chart calls it.
TREASURY_TYPE: Final = "treasury"


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
    return int(
        warehouse.scalar(sql("rails/unattributed_total"), {"unattributed": str(UNATTRIBUTED)})
    )
