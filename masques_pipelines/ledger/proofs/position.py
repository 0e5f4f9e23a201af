"""The position of a pass: where proofs start, and how far events and readings reach."""

from dataclasses import dataclass
from typing import Any

from masques_pipelines.ledger.proofs.sealed import Anchor
from masques_pipelines.ledger.transactions import retention_horizon_ns
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


@dataclass(frozen=True)
class NewestSync:
    """The newest sync of the transactions.

    Attributes:
        watermark_ns: Ledger time that it reached.
        source: The ledger that it read.
        lag_s: Seconds from there to the clock when it ended.
        age_s: Seconds since it ended.
    """

    watermark_ns: int
    source: str
    lag_s: float
    age_s: int


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
        anchor: Up to where the newest checkpoint found the chain of seals proved.
        sealed_to_ns: Where the newest seal ends.
        seals: Rows of the chain of seals.
        readings: Pages of accounts that were read and are remembered.
        newest_sync: None when nothing was synced yet.
    """

    base_ns: int
    settled_ns: int
    watermark_ns: int
    first_reading_ns: int
    last_reading_ns: int
    accounts: int
    checkpoint_ns: int
    removed_ns: int
    anchor: Anchor
    sealed_to_ns: int
    seals: int
    readings: int
    newest_sync: NewestSync | None

    @property
    def nothing(self) -> str | None:
        """Why there is nothing to prove; None when there is something."""
        if self.newest_sync is None:
            return "nothing was synced yet; run ledger_sync_job"
        if not (self.accounts or self.readings or self.settled_ns or self.seals):
            return "the ledger that was synced has no account and no event"
        return None

    @property
    def needs_opening(self) -> bool:
        """Whether events that retention may have removed are in no checkpoint."""
        return self.removed_ns > 0 and self.checkpoint_ns < min(self.removed_ns, self.sealed_to_ns)

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be proved from here yet, and what to do; None when it can."""
        if self.needs_opening or (self.removed_ns and not self.base_ns):
            return (
                f"events before ledger time {self.removed_ns} were removed for their age and are "
                "in no checkpoint: run ledger_sync_job, whose checks read them from the ledger"
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
    """Returns where proofs start and end, by one statement.

    Args:
        warehouse: Where the copy is.
        from_beginning: Start from zero, or, when older events were removed for their age, from the
            oldest checkpoint that all later events are there for.
    """
    (found,) = warehouse.records(
        sql("ledger/proofs/position"), {"horizon_ns": retention_horizon_ns()}
    )
    checkpoint_ns, oldest_base_ns = int(found["checkpoint_ns"]), int(found["oldest_base_ns"])
    return Position(
        base_ns=oldest_base_ns if from_beginning else max(checkpoint_ns, oldest_base_ns),
        settled_ns=max(int(found["settled_ns"]), checkpoint_ns),
        watermark_ns=int(found["watermark_ns"]),
        first_reading_ns=int(found["first_reading_ns"]),
        last_reading_ns=int(found["last_reading_ns"]),
        accounts=int(found["accounts"]),
        checkpoint_ns=checkpoint_ns,
        removed_ns=int(found["removed_ns"]),
        anchor=Anchor(
            sequence=int(found["sealed_sequence"]),
            digest=str(found["sealed_digest"]),
            events={int(month): int(events) for month, events in found["sealed_events"].items()},
        ),
        sealed_to_ns=int(found["sealed_to_ns"]),
        seals=int(found["seals"]),
        readings=int(found["readings"]),
        newest_sync=_newest_sync(found) if found["syncs"] else None,
    )


def _newest_sync(found: dict[str, Any]) -> NewestSync:
    return NewestSync(
        watermark_ns=int(found["sync_watermark_ns"]),
        source=str(found["sync_source"]),
        lag_s=float(found["sync_lag_s"]),
        age_s=int(found["sync_age_s"]),
    )
