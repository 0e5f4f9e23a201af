"""Lists claims that contradict each other, and records which of them a person decided for.

A decision is a row of masques_ops.claim_decisions; the latest of a settlement holds, until it is
withdrawn. It chooses among claims that the chain proves, and stays when later lines claim something
else: those are a finding.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal

from masques_pipelines.errors import PermanentError
from masques_pipelines.inventory.tables import SETTLEMENTS
from masques_pipelines.inventory.writes import counted
from masques_pipelines.rails.attribution import link_settlements
from masques_pipelines.rails.run import LEASE, LEASE_S
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import writer_lease
from masques_pipelines.warehouse.sql import sql

Decision = Literal["linked", "none", "withdrawn"]
REASON_MAX: Final = 1_000


class ClaimError(PermanentError):
    """A decision does not fit the claims that there are."""


@dataclass(frozen=True)
class ClaimedSettlement:
    """A settlement with several proved claims, or with a decision about them.

    Attributes:
        settlement_id: The settlement.
        rail: Name of the rail.
        network: CAIP-2 id of the chain.
        status: Its latest status.
        direction: "in" or "out".
        amount: In whole units of the currency.
        currency: Symbol of the asset.
        tx_hash: Its transaction.
        claims: Of each proved claim: when it was said first, the ledger transfers, and the lines
            of the journal that are still known.
        decision: "linked", "none", or "" without a decision.
        chosen: The ledger transfers that were decided for.
        known: The claims that were known at the decision.
        decided_by: Who decided.
        reason: Why.
        decided_at: When.
    """

    settlement_id: uuid.UUID
    rail: str
    network: str
    status: str
    direction: str
    amount: Decimal
    currency: str
    tx_hash: str
    claims: Sequence[tuple[datetime, Sequence[uuid.UUID], Sequence[str]]]
    decision: str
    chosen: Sequence[uuid.UUID]
    known: Sequence[Sequence[uuid.UUID]]
    decided_by: str
    reason: str
    decided_at: datetime

    @property
    def claimed(self) -> set[tuple[uuid.UUID, ...]]:
        """The different claims."""
        return {tuple(ids) for _, ids, _ in self.claims}

    @property
    def is_decided(self) -> bool:
        """Whether a decision covers all claims, and what it chose is still proved."""
        is_covered = self.claimed <= {tuple(each) for each in self.known}
        is_proved = self.decision == "none" or tuple(self.chosen) in self.claimed
        return bool(self.decision) and is_covered and is_proved


def claimed_settlements(warehouse: Warehouse, settlement: str = "") -> list[ClaimedSettlement]:
    """Returns the settlements whose claims contradict each other, or one settlement's."""
    records = warehouse.records(sql("rails/claims"), {"settlement": settlement})
    return [ClaimedSettlement(**each) for each in records]


def decide(  # noqa: PLR0913 - a decision, by name
    warehouse: Warehouse,
    settlement_id: uuid.UUID,
    decision: Decision,
    transactions: Sequence[uuid.UUID] = (),
    *,
    by: str,
    reason: str,
) -> ClaimedSettlement:
    """Records a decision about the claims on a settlement, and links accordingly.

    Args:
        warehouse: The target.
        settlement_id: The settlement.
        decision: linked: to the claim that `transactions` names; none: to nothing; withdrawn: the
            decision before holds no more.
        transactions: All ledger transfers of one claim, or one that no other claim names.
        by: Who decides.
        reason: Why.

    Returns:
        The settlement with its claims, as it is now.

    Raises:
        ClaimError: There are no such claims, or there is no decision to withdraw.
        LeaseBusyError, LeaseLostError: Another process writes settlements to the same server.
    """
    if not by.strip() or not reason.strip() or len(reason) > REASON_MAX:
        raise ClaimError(
            f"{settlement_id}: a decision needs who decides and a reason of 1 to {REASON_MAX:,} "
            "characters: give --by and --reason"
        )
    with (
        writer_lease(warehouse, LEASE, duration_s=LEASE_S, wait_s=LEASE_S + 10),
        counted(warehouse, SETTLEMENTS),
    ):
        found = claimed_settlements(warehouse, str(settlement_id))
        if not found:
            raise ClaimError(
                f"{settlement_id}: no two claims on this settlement contradict each other: "
                "`masques rails claims` lists those that do"
            )
        chosen = _chosen(found[0], decision, transactions)
        _write(warehouse, found[0], decision, chosen, by, reason)
        link_settlements(warehouse)
    return (claimed_settlements(warehouse, str(settlement_id)) or found)[0]


def _chosen(
    each: ClaimedSettlement, decision: Decision, transactions: Sequence[uuid.UUID]
) -> tuple[uuid.UUID, ...]:
    """Returns the claim that a decision is for."""
    if decision == "withdrawn" and not each.decision:
        raise ClaimError(f"{each.settlement_id}: there is no decision to withdraw")
    if decision != "linked":
        return ()
    named = set(transactions)
    exact = [ids for ids in each.claimed if set(ids) == named]
    fitting = exact or [ids for ids in each.claimed if named and named <= set(ids)]
    if len(fitting) != 1:
        listed = ", or ".join(sorted(" and ".join(map(str, ids)) for ids in each.claimed))
        problem = "several claims name" if fitting else "no proved claim names"
        raise ClaimError(
            f"{each.settlement_id}: {problem} {' and '.join(map(str, transactions)) or 'nothing'}: "
            f"give all ledger transfers of one claim: {listed or 'there is none any more'}"
        )
    return fitting[0]


def _write(  # noqa: PLR0913, PLR0917 - the columns of a row
    warehouse: Warehouse,
    each: ClaimedSettlement,
    decision: Decision,
    chosen: tuple[uuid.UUID, ...],
    by: str,
    reason: str,
) -> None:
    columns = ("settlement_id", "decision", "transaction_ids", "claims", "decided_by", "reason")
    claims = sorted(each.claimed, key=lambda ids: [str(one) for one in ids])
    warehouse.insert_rows(
        "masques_ops.claim_decisions",
        (*columns, "decided_at"),
        [
            (
                each.settlement_id,
                decision,
                list(chosen),
                [list(ids) for ids in claims],
                by,
                reason,
                datetime.now(UTC),
            )
        ],
    )
