"""From where to where the proofs of a ledger go.

Here: reading the position: the checkpoint to start from, and how far events and readings reach.
Not here: the proofs.
A re-run reads it anew.
"""

from dataclasses import dataclass

from masques_pipelines.ledger.transactions import retention_horizon_ns
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


@dataclass(frozen=True)
class Position:
    """Ledger times in nanoseconds since 1970; 0 where there is none.

    Attributes:
        base_ns: The checkpoint that proofs start from; 0 is the ledger's beginning.
        settled_ns: The newest transfer: no event can land at or before it any more.
        watermark_ns: The events are complete up to here.
        first_reading_ns: The earliest time at which any account's balances were read.
        last_reading_ns: The latest.
        accounts: Accounts known.
        checkpoint_ns: The newest checkpoint, whether or not proofs start from it.
        removed_ns: Events up to here may have been removed for their age.
    """

    base_ns: int
    settled_ns: int
    watermark_ns: int
    first_reading_ns: int
    last_reading_ns: int
    accounts: int
    checkpoint_ns: int
    removed_ns: int

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be proved from here yet, and what to do; None when it can."""
        if self.removed_ns and not self.base_ns:
            return (
                f"events before ledger time {self.removed_ns} were removed for their age and no "
                "checkpoint was made before: what they held cannot be proved here; compare with "
                "the ledger itself"
            )
        if self.watermark_ns < self.last_reading_ns:
            return (
                f"the events reach ledger time {self.watermark_ns}, the balances were read at "
                f"{self.last_reading_ns}: sync the transactions, then prove again"
            )
        return None

    @property
    def until_ns(self) -> int:
        """Ledger time up to which proofs look at events."""
        return max(self.watermark_ns, self.settled_ns)


def read_position(warehouse: Warehouse, *, from_beginning: bool = False) -> Position:
    """Returns where proofs start and end.

    Args:
        warehouse: Where the copy is.
        from_beginning: Start from zero, or, when older events were removed for their age, from the
            oldest checkpoint that all later events are there for.
    """
    found = warehouse.records(sql("ledger/proofs/position"))[0]
    checkpoint_ns = int(found["checkpoint_ns"])
    removed_ns = removed_until_ns(warehouse)
    base_ns = _oldest_base(warehouse, removed_ns)
    return Position(
        base_ns=base_ns if from_beginning else max(checkpoint_ns, base_ns),
        settled_ns=max(int(found["settled_ns"]), checkpoint_ns),
        watermark_ns=int(found["watermark_ns"]),
        first_reading_ns=int(found["first_reading_ns"]),
        last_reading_ns=int(found["last_reading_ns"]),
        accounts=int(found["accounts"]),
        checkpoint_ns=checkpoint_ns,
        removed_ns=removed_ns,
    )


def removed_until_ns(warehouse: Warehouse) -> int:
    """Returns a ledger time up to which events may have been removed for their age; 0 for none."""
    first_event_ns = warehouse.scalar(sql("ledger/proofs/first_event"))
    horizon_ns = retention_horizon_ns()
    return 0 if int(first_event_ns) > horizon_ns else horizon_ns


def _oldest_base(warehouse: Warehouse, removed_ns: int) -> int:
    if removed_ns == 0:
        return 0
    rows = warehouse.rows(sql("ledger/proofs/base_retained"), {"horizon_ns": removed_ns})
    return int(rows[0][0]) if rows else 0
