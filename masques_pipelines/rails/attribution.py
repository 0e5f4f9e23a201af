"""Links settlements to ledger transfers, and attributes them to accounts.

A link is proved: a line of the gate's journal whose answer is a success (or pending) names the
ledger transfers and a transaction, and the chain has the payment in that transaction. What a
refused, unanswered or forged line names is never used. Two different claims that are both proved
link nothing and are a finding. The links follow from the set of claims and from the chain, so the
order in which lines were read changes nothing.

The account follows from the link, else from the registry of payers' addresses. Never from amount,
memo or symbol: anybody can pay the same amount, copy a memo, or name a token.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from masques_pipelines.rails.protocol import ADDED_TO_CHAIN, ANSWERS, UNATTRIBUTED
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

_NOBODY: Final = {"unattributed": str(UNATTRIBUTED)}


def link_settlements(warehouse: Warehouse) -> int:
    """Writes links, findings of claims, and a revision of each settlement that they change.

    Returns:
        How many settlements are attributed that were not before.
    """
    due = _due(warehouse)
    now = {"recorded_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")}
    if due["announced"]:
        said = {"answers": list(ANSWERS), "names": sorted(ADDED_TO_CHAIN)}
        warehouse.command(sql("rails/carry_announcements"), {**said, **now})
        warehouse.command(sql("rails/fold_announcements"), now)
    if due["claims"]:
        warehouse.command(sql("rails/write_claim_findings"), now)
        if due["announced"]:
            warehouse.command(sql("rails/write_payout_findings"), now)
        warehouse.command(sql("rails/write_links"), now)
    if not (due["claims"] or due["links"] or due["addresses"]):
        return 0
    warehouse.command(sql("rails/link_settlements"), {**_NOBODY, **now})
    return int(due["unattributed"]) - int(_due(warehouse)["unattributed"])


def _due(warehouse: Warehouse) -> Mapping[str, Any]:
    (found,) = warehouse.records(sql("rails/linking_due"), _NOBODY)
    return found
