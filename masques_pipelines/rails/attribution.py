"""Links settlements to ledger transfers, and attributes them to accounts.

A link is proved: a line of the gate's journal whose answer is a success (or pending) names the
ledger transfers and a transaction, and the chain has the payment in that transaction. What a
refused, unanswered or forged line names is never used. Two different claims that are both proved
link nothing and are a finding. The links follow from the set of claims and from the chain, so the
order in which lines were read changes nothing.

The account follows from the link, else from the registry of payers' addresses. Never from amount,
memo or symbol: anybody can pay the same amount, copy a memo, or name a token.
"""

from datetime import UTC, datetime
from typing import Final

from masques_pipelines.rails.protocol import UNATTRIBUTED
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

_UNATTRIBUTED_TOTAL: Final = """
SELECT count() FROM masques_marts.settlements_current
WHERE from_account_id = toUUID({unattributed:String}) AND status != 'superseded'
"""


def link_settlements(warehouse: Warehouse) -> int:
    """Writes links, findings of claims, and a revision of each settlement that they change.

    Returns:
        How many settlements are attributed that were not before.
    """
    before = _unattributed(warehouse)
    recorded_at = {"recorded_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")}
    for step in ("fold_announcements", "write_link_findings", "write_links"):
        warehouse.command(sql(f"rails/{step}"), recorded_at)
    warehouse.command(
        sql("rails/link_settlements"),
        {"unattributed": str(UNATTRIBUTED), **recorded_at},
    )
    return before - _unattributed(warehouse)


def _unattributed(warehouse: Warehouse) -> int:
    return int(warehouse.scalar(_UNATTRIBUTED_TOTAL, {"unattributed": str(UNATTRIBUTED)}))
