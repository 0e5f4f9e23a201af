"""Reads a ledger's events so that none is missed, whatever is written while we read.

Each run starts from the cursor that the target gives; nothing is kept here. The rules (each was
seen on a real server, 0.17.9):

- Only an empty page is the end: a development server's pages are short without being the last.
- An imported transfer may get any time after the newest *transfer*, so it can land behind an expiry
  that was read already (12 of 52 events were lost in one run of a plain cursor). Nothing can land
  behind a transfer. So when a transfer turns up after expiries, the gap before it is read again,
  and what is new there is handed on first: before the transfer that will be the cursor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from masques_pipelines.ledger.backfill import TransferStretches
from masques_pipelines.ledger.records import (
    CHANGE_EVENT_DTYPE,
    EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    TRANSFER_DTYPE,
    Records,
    TimestampsNs,
    joined,
    kept_of,
    records_of,
    timestamps_ns,
)
from masques_pipelines.ledger.source import LedgerSource, Page

# 24 pages of 2,730 events. 65 k rows to an insert was the fastest (1.2 M rows/s at 490 MB peak;
# 197 k rows took 0.8 GB, 8 k rows ran at a third of the speed).
BATCH_EVENTS: Final = 65_520
# One batch being inserted, one ready, one being read.
BATCHES_AHEAD: Final = 1


@dataclass(frozen=True)
class Batch:
    """Events in the order of time, to be inserted together.

    Attributes:
        events: What is kept of the change events (EVENT_DTYPE), each handed out once per run.
        pages: Replies that they came in.
        ledger_time_ns: The ledger's clock at the newest reply.
        is_last: True when the ledger had no more; then every event at or before ledger_time_ns has
            been handed out, except imports that have yet to land.
    """

    events: Records
    pages: int
    ledger_time_ns: int
    is_last: bool


class EventReader:
    """One run's reading of a ledger's change events, from a cursor to the newest."""

    def __init__(self, source: LedgerSource, *, cursor_ns: int) -> None:
        """Starts after a cursor.

        Args:
            source: The ledger; used by this reader alone while it reads.
            cursor_ns: Time of the newest event that is there and is not an expiry; 0 for none. From
                0, transfers are read instead of change events wherever they tell the same
                (backfill.py).
        """
        self._source = source
        from_start = cursor_ns == 0 and source.has_quick_transfers
        self._stretches = TransferStretches(origin=source.description) if from_start else None
        self._settled_ns = cursor_ns  # newest transfer read: nothing can land at or before it
        self._read_ns = cursor_ns  # newest event read
        self._unsettled_ns: list[TimestampsNs] = []  # expiries read since the newest transfer
        self._pages = 0
        self._ledger_time_ns = 0

    def batches(self, batch_events: int = BATCH_EVENTS) -> Iterator[Batch]:
        """Yields all events after the cursor, in batches of at least that many and a page more."""
        while True:
            parts: list[Records] = []
            pages_before = self._pages
            is_last = False
            while sum(len(part) for part in parts) < batch_events:
                events = self._next()
                if events is None:
                    is_last = True
                    break
                parts.append(events)
            yield Batch(
                events=joined(parts),
                pages=self._pages - pages_before,
                ledger_time_ns=self._ledger_time_ns,
                is_last=is_last,
            )
            if is_last:
                return

    def _next(self) -> Records | None:
        """Returns the next events, late imports first; None at the end."""
        events = self._from_transfers()
        if len(events) == 0:
            limit = self._stretches.change_events_limit if self._stretches else None
            events = self._change_events(self._read_ns + 1, limit=limit)
        if len(events) == 0:
            return None
        events = self._settled(events)
        if self._stretches:
            self._stretches.follow(events)
        return events

    def _from_transfers(self) -> Records:
        """Returns the next events that transfers tell; none when change events must be read."""
        if self._stretches is None:
            return np.empty(0, EVENT_DTYPE)
        if self._stretches.needs_page:
            page = self._answered(self._source.transfers(self._read_ns + 1))
            origin = self._source.description
            self._stretches.add_page(records_of(page.data, TRANSFER_DTYPE, origin=origin))
        return self._stretches.take()

    def _settled(self, events: Records) -> Records:
        """Returns the events, with what landed behind expiries when a transfer is among them."""
        is_transfer = events["type"] != EVENT_TYPE_EXPIRED
        times = timestamps_ns(events)
        self._read_ns = int(times[-1])
        if not is_transfer.any():
            self._unsettled_ns.append(times.copy())
            return events
        if self._unsettled_ns:
            events = self._with_late(events, before_ns=int(times[np.argmax(is_transfer)]))
        last_transfer = len(times) - 1 - int(np.argmax(is_transfer[::-1]))
        self._settled_ns = int(times[last_transfer])
        after = times[last_transfer + 1 :]
        self._unsettled_ns = [after.copy()] if len(after) else []
        return events

    def _with_late(self, events: Records, *, before_ns: int) -> Records:
        """Returns the events with what has landed between the newest transfer and before_ns."""
        seen = np.concatenate([*self._unsettled_ns, timestamps_ns(events)])
        late: list[Records] = []
        start_ns = self._settled_ns + 1
        while start_ns < before_ns:
            page = self._change_events(start_ns, before_ns - 1)
            if len(page) == 0:
                break
            late.append(page[~np.isin(timestamps_ns(page), seen)])
            start_ns = int(timestamps_ns(page)[-1]) + 1
        if not any(len(part) for part in late):
            return events
        merged = joined([*late, events])
        return merged[np.argsort(timestamps_ns(merged))]

    def _change_events(self, from_ns: int, to_ns: int = 0, *, limit: int | None = None) -> Records:
        page = self._answered(self._source.change_events(from_ns, to_ns, limit))
        return kept_of(records_of(page.data, CHANGE_EVENT_DTYPE, origin=self._source.description))

    def _answered(self, page: Page) -> Page:
        self._pages += 1
        self._ledger_time_ns = page.ledger_time_ns
        return page
