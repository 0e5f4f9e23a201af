"""The chain of seals as the proofs read it: from where, page by page, and what may be removed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.seals import SEAL_COLUMNS, Seal, seal_of
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# Each takes a kilobyte or two here.
SEALS_PER_PAGE: Final = 20_000
SEQUENCE_MAX: Final = 2**64 - 1
# All forks of the chain; a seal that was sent twice is there once.
_PAGE: Final = (
    f"SELECT {SEAL_COLUMNS} FROM masques_ops.ledger_seals FINAL "  # noqa: S608 - a constant
    "WHERE sequence >= {sequence:UInt64} AND sequence <= {to_sequence:UInt64} "
    "AND (sequence, digest) > ({sequence:UInt64}, {digest:String}) "
    "ORDER BY sequence, digest LIMIT {seals:UInt32}"
)


@dataclass(frozen=True)
class Anchor:
    """Up to where the chain was proved; nothing of it by default.

    Attributes:
        sequence: Number of the last seal that was proved.
        digest: Its digest.
        events: Events of all seals up to that one, by month as 202611.
    """

    sequence: int = 0
    digest: str = ""
    events: Mapping[int, int] = field(default_factory=dict)


def seals_after(
    warehouse: Warehouse, anchor: Anchor, *, to_sequence: int = SEQUENCE_MAX
) -> Iterator[Seal]:
    """Yields the seals from the anchor's own on, in their order."""
    sequence, digest = anchor.sequence, ""
    while True:
        page = warehouse.records(
            _PAGE,
            {
                "sequence": sequence,
                "digest": digest,
                "to_sequence": to_sequence,
                "seals": SEALS_PER_PAGE,
            },
        )
        yield from map(seal_of, page)
        if len(page) < SEALS_PER_PAGE:
            return
        sequence, digest = int(page[-1]["sequence"]), str(page[-1]["digest"])


def sealed_months(
    warehouse: Warehouse, anchor: Anchor, *, to_sequence: int = SEQUENCE_MAX
) -> tuple[dict[int, int], int]:
    """Returns the events of all seals by month, and the ledger time up to which they reach.

    Up to the anchor as it says; the rest is counted. The time is 0 when nothing is sealed.
    """
    months, sealed_to_ns = dict(anchor.events), 0
    bounds = {"after_sequence": anchor.sequence, "to_sequence": to_sequence}
    for month, events, to_ns in warehouse.rows(sql("ledger/proofs/sealed_months"), bounds):
        months[int(month)] = months.get(int(month), 0) + int(events)
        sealed_to_ns = max(sealed_to_ns, int(to_ns))
    return months, sealed_to_ns


def may_be_removed(seal: Seal, removed_ns: int) -> bool:
    """Returns whether retention may have removed rows of the seal's batch.

    By what the seal's own digest covers: a batch is later than from_ns, and all of one month.
    """
    return max(seal.from_ns, Month.of(seal.to_ns).start_ns - 1) < removed_ns
