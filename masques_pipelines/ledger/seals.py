"""Seals what the ledger sent: a digest of each batch of events, chained to the batch before.

The digest is taken of the ledger's own bytes (EVENT_DTYPE in records.py), before ClickHouse sees
them, and of nothing that the chart adds. So it proves that the table holds what was sent, and a
rebuild does not change it. proofs/integrity.py recomputes the chain from the tables.

A sync continues from the newest seal; a batch that a killed run wrote and did not seal is read from
the ledger once more.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from masques_pipelines.ledger.reader import Batch
from masques_pipelines.ledger.records import (
    EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    Records,
    by_month,
    joined,
    timestamps_ns,
)
from masques_pipelines.warehouse.client import Warehouse

# A seal of more would make the recomputing of one batch large.
SEAL_EVENTS_MAX: Final = 200_000

SEAL_COLUMNS: Final = (
    "sequence, from_ns, to_ns, events, posted, held, events_digest, previous_digest, digest"
)
_NEWEST: Final = (
    f"SELECT {SEAL_COLUMNS} FROM masques_ops.ledger_seals ORDER BY sequence DESC LIMIT 1"  # noqa: S608 - a constant
)

_POSTED_TYPES: Final = (0, 2)
_HELD_TYPES: Final = (1,)
_HALVES: Final = (("low", 0), ("high", 64))


@dataclass(frozen=True)
class Seal:
    """One row of masques_ops.ledger_seals; see there for the units."""

    sequence: int
    from_ns: int
    to_ns: int
    events: int
    posted: Mapping[int, int]
    held: Mapping[int, int]
    events_digest: str
    previous_digest: str
    digest: str = ""

    def computed_digest(self) -> str:
        """Returns the SHA-256 over everything else in the row, hex."""
        content = asdict(replace(self, digest=""))
        for name in ("posted", "held"):
            content[name] = sorted((ledger, str(sum_)) for ledger, sum_ in content[name].items())
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Sealer:
    """Seals the events of one run in the order of time, from the newest seal on."""

    def __init__(self, newest: Seal | None) -> None:
        self._newest = newest
        self._waiting: Records = np.empty(0, EVENT_DTYPE)

    @property
    def sealed_to_ns(self) -> int:
        """Ledger time up to which all events are sealed; 0 when none is."""
        return self._newest.to_ns if self._newest else 0

    @property
    def digest(self) -> str:
        """The newest seal's digest, which covers the whole chain; "" when there is none."""
        return self._newest.digest if self._newest else ""

    @property
    def sequence(self) -> int:
        """The newest seal's number; 0 when there is none."""
        return self._newest.sequence if self._newest else 0

    def sealed(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[Seal]]]:
        """Yields each batch with the seals that it completes."""
        for batch in batches:
            yield batch, self.add(batch.events)

    def add(self, events: Records) -> list[Seal]:
        """Adds events as the reader hands them out; returns the seals that this completes.

        Expiries after the newest transfer wait for the next one: an import may land before them.
        """
        if len(events) == 0:
            return []
        waiting = self._sorted_with_waiting(events)
        transfers = np.flatnonzero(waiting["type"] != EVENT_TYPE_EXPIRED)
        settled = int(transfers[-1]) + 1 if len(transfers) else 0
        self._waiting = waiting[settled:].copy()  # a view would keep the whole batch in memory
        # What is settled may be cut anywhere; at month edges, so that a month can be rebuilt.
        return [
            self._seal(month[start : start + SEAL_EVENTS_MAX])
            for month in by_month(waiting[:settled])
            for start in range(0, len(month), SEAL_EVENTS_MAX)
        ]

    def _sorted_with_waiting(self, events: Records) -> Records:
        """Returns what is not sealed yet, by time. Most batches are that already: no copy then."""
        if int(timestamps_ns(events).min()) <= self.sealed_to_ns:
            events = events[timestamps_ns(events) > self.sealed_to_ns]
        waiting = joined([self._waiting, events]) if len(self._waiting) else events
        times = timestamps_ns(waiting)
        if (times[1:] > times[:-1]).all():
            return waiting
        return waiting[np.argsort(times, kind="stable")]

    def _seal(self, events: Records) -> Seal:
        before = self._newest
        seal = Seal(
            sequence=before.sequence + 1 if before else 1,
            from_ns=self.sealed_to_ns,
            to_ns=int(timestamps_ns(events)[-1]),
            events=len(events),
            posted=_sums(events, _POSTED_TYPES),
            held=_sums(events, _HELD_TYPES),
            events_digest=events_digest(events),
            previous_digest=before.digest if before else "",
        )
        self._newest = replace(seal, digest=seal.computed_digest())
        return self._newest


def events_digest(events: Records) -> str:
    """Returns the SHA-256 over the bytes of events (EVENT_DTYPE) in the order of time, hex."""
    return hashlib.sha256(np.ascontiguousarray(events).view(np.uint8).data).hexdigest()


def newest_seal(warehouse: Warehouse) -> Seal | None:
    """Returns the seal with the highest sequence number, None when nothing is sealed."""
    records = warehouse.records(_NEWEST)
    return seal_of(records[0]) if records else None


def seal_of(record: Mapping[str, Any]) -> Seal:
    """Returns a row of masques_ops.ledger_seals as a seal."""
    return Seal(
        sequence=int(record["sequence"]),
        from_ns=int(record["from_ns"]),
        to_ns=int(record["to_ns"]),
        events=int(record["events"]),
        posted={int(ledger): int(sum_) for ledger, sum_ in record["posted"].items()},
        held={int(ledger): int(sum_) for ledger, sum_ in record["held"].items()},
        events_digest=str(record["events_digest"]),
        previous_digest=str(record["previous_digest"]),
        digest=str(record["digest"]),
    )


def write_seals(warehouse: Warehouse, seals: list[Seal]) -> None:
    """Appends seals; one that was sent twice counts once."""
    sealed_at = datetime.now(UTC)
    rows = [{**asdict(seal), "sealed_at": sealed_at} for seal in seals]
    if rows:
        warehouse.insert_rows(
            "masques_ops.ledger_seals", list(rows[0]), [list(row.values()) for row in rows]
        )


def _sums(events: Records, types: tuple[int, ...]) -> dict[int, int]:
    """Returns the raw amounts of those event types, added up exactly, by ledger."""
    chosen = np.isin(events["type"], types)
    ledgers = events["ledger"][chosen]
    halves = [(events["transfer_amount"][half][chosen], shift) for half, shift in _HALVES]
    sums: dict[int, int] = {}
    for ledger in np.unique(ledgers).tolist():
        is_its = ledgers == ledger
        # Words of 32 bits add up in 64 bits for up to 2^32 events.
        sums[ledger] = sum(
            int((words[is_its] >> word & 0xFFFFFFFF).sum(dtype=np.uint64)) << (shift + word)
            for words, shift in halves
            for word in (0, 32)
        )
    return sums
