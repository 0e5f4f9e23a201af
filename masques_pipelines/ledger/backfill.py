"""Decides which parts of a ledger's history may be read as transfers instead of change events.

It only serves a reading from the ledger's beginning. A transfer is a third of its change event, and
eight thousand come in one reply: a server gives them four times as fast. But no transfer shows an
expiry. What shows is when one is due: a hold with a timeout, neither posted nor voided, expires at
or after its time, never before. (The server refuses to post or void it from that time on, and
expires it with its next pulse.) So a reader that has seen every hold from the beginning knows of
each stretch whether an expiry can be in it. Where one can, it reads change events until the expiry
has come, and what both ways give for the same times is compared.
"""

import logging
from typing import Final

import numpy as np

from masques_pipelines.ledger.records import (
    EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    EVENT_TYPE_PENDING,
    EVENT_TYPE_POSTED,
    EVENT_TYPE_VOIDED,
    TIMESTAMP_MAX,
    PageError,
    Records,
    events_of_transfers,
    timestamps_ns,
)

# Below that, a page of change events is cheaper: it covers the stretch and what comes after it.
STRETCH_EVENTS_MIN: Final = 1000
# An expiry comes a few milliseconds after it is due (1.6 in the median, 103 at most were seen).
SEARCH_EVENTS: Final = 256
# Where expiries are dense, a page of transfers is wasted. After so many pages of change events at
# most, the next is tried: 64 of them hold 175 k events.
WAIT_PAGES_MAX: Final = 64
# Each takes about 250 bytes. A ledger with more is read by its change events.
OPEN_HOLDS_MAX: Final = 100_000

logger = logging.getLogger(__name__)

_CLOSING_TYPES: Final = (EVENT_TYPE_POSTED, EVENT_TYPE_VOIDED)
_NOTHING: Final[Records] = np.empty(0, EVENT_DTYPE)


class TransferStretches:
    """Hands out transfers, as events, for as long as no expiry can be among them.

    The reader shows it every event that it hands on, in order, from the ledger's first.

    Args:
        origin: Names the ledger in errors.
    """

    def __init__(self, *, origin: str) -> None:
        self._origin = origin
        self._read_ns = 0  # newest event that was handed on
        self._expires_ns: dict[bytes, int] = {}  # open holds with a timeout, by transfer id
        self._set_page(_NOTHING)
        self._due_ns: dict[bytes, int] = {}  # holds that expire before the page ends
        self._taken_to_ns = 0
        # The first page is one of change events: the source checks their layout with it.
        self._wait_pages = 1
        self._next_wait_pages = 1
        self._searches = 0  # so far, for the expiry that is due now
        self._ended = False

    @property
    def needs_page(self) -> bool:
        """Whether the next transfers would be of use."""
        return not (self._ended or len(self._page) or self._due_ns or self._wait_pages)

    def add_page(self, transfers: Records) -> None:
        """Adds the transfers that come next; none when there are no more."""
        if len(transfers) == 0:
            self._end()
            return
        self._set_page(events_of_transfers(transfers))
        end_ns = int(self._page_times[-1])
        closed = set(_closed_holds(self._page))
        self._due_ns = {
            hold: time_ns
            for holds in (self._expires_ns, _timed_holds(self._page))
            for hold, time_ns in holds.items()
            if time_ns <= end_ns and hold not in closed
        }

    def take(self) -> Records:
        """Returns the next events that transfers tell; none when change events must be read."""
        first_due_ns = min(self._due_ns.values(), default=TIMESTAMP_MAX + 1)
        stretch = self._of_page(self._read_ns, first_due_ns - 1)
        self._searches = self._searches + 1 if self._due_ns and len(stretch) == 0 else 0
        if self._due_ns and len(stretch) < STRETCH_EVENTS_MIN:
            stretch = _NOTHING
        if len(stretch) == 0:
            self._wait_pages = max(0, self._wait_pages - 1)
        else:
            self._taken += len(stretch)
            self._taken_to_ns = int(timestamps_ns(stretch)[-1])
        return stretch

    @property
    def change_events_limit(self) -> int | None:
        """How many change events to ask for: few, where an expiry is expected at once."""
        return {1: SEARCH_EVENTS, 2: 4 * SEARCH_EVENTS}.get(self._searches)

    def follow(self, events: Records) -> None:
        """Keeps track of events that are handed on, whichever way they came.

        Raises:
            PageError: Change events and transfers of the same times differ.
        """
        if self._ended or len(events) == 0:
            return
        self._compare(events)
        self._read_ns = max(self._read_ns, int(timestamps_ns(events)[-1]))
        self._expires_ns |= _timed_holds(events)
        expired = _keys(events[events["type"] == EVENT_TYPE_EXPIRED], "transfer_id")
        for hold in (*_closed_holds(events), *expired):
            self._expires_ns.pop(hold, None)
            self._due_ns.pop(hold, None)
        if len(self._page) and int(self._page_times[-1]) <= self._read_ns:
            self._leave_page()
        if len(self._expires_ns) > OPEN_HOLDS_MAX:
            logger.warning(
                "more than %s holds with a timeout are open at once: the rest of the back-fill "
                "reads change events, which takes about four times as long",
                f"{OPEN_HOLDS_MAX:,}",
            )
            self._end()

    def _compare(self, events: Records) -> None:
        """Raises unless the events and the page agree on the times that both cover."""
        if len(self._page) == 0:
            return
        times = timestamps_ns(events)
        to_ns = min(int(times[-1]), int(self._page_times[-1]))
        if to_ns <= self._taken_to_ns:  # the events are the page's own
            return
        # Late imports come before what was read already: no page of transfers shows them any more.
        is_new = (times > np.uint64(self._read_ns)) & (times <= np.uint64(to_ns))
        by_events = events[is_new & (events["type"] != EVENT_TYPE_EXPIRED)]
        by_transfers = self._of_page(self._read_ns, to_ns)
        if by_events.tobytes() != by_transfers.tobytes():
            raise PageError(
                f"{self._origin}: change events and transfers after {self._read_ns} up to {to_ns} "
                f"are not the same ({len(by_events)} and {len(by_transfers)}): a ledger that was "
                "written by a release before 0.16.29, or one of an unknown release, cannot be "
                "copied whole; see docs/tigerbeetle-versions.md"
            )

    def _set_page(self, page: Records) -> None:
        self._page = page
        self._page_times = np.ascontiguousarray(timestamps_ns(page))
        self._taken = 0  # events of the page that were handed out

    def _of_page(self, after_ns: int, to_ns: int) -> Records:
        start, end = np.searchsorted(
            self._page_times, np.array([after_ns, to_ns], np.uint64), side="right"
        )
        return self._page[start:end]

    def _leave_page(self) -> None:
        """Drops a page that was passed; one that was of little use makes the next one wait."""
        if 2 * self._taken < len(self._page):
            self._wait_pages = self._next_wait_pages
            self._next_wait_pages = min(2 * self._next_wait_pages, WAIT_PAGES_MAX)
        else:
            self._next_wait_pages = 1
        self._set_page(_NOTHING)

    def _end(self) -> None:
        """Reads the rest as change events."""
        self._ended = True
        self._set_page(_NOTHING)
        self._due_ns.clear()
        self._expires_ns.clear()
        self._searches = 0


def _timed_holds(events: Records) -> dict[bytes, int]:
    """Returns when each hold with a timeout is due (nanoseconds since 1970), by transfer id."""
    holds = events[(events["type"] == EVENT_TYPE_PENDING) & (events["transfer_timeout"] != 0)]
    expires_ns = timestamps_ns(holds) + holds["transfer_timeout"].astype(np.uint64) * 10**9
    return dict(zip(_keys(holds, "transfer_id"), expires_ns.tolist(), strict=True))


def _closed_holds(events: Records) -> list[bytes]:
    """Returns the holds that the events post or void."""
    return _keys(events[np.isin(events["type"], _CLOSING_TYPES)], "transfer_pending_id")


def _keys(events: Records, field: str) -> list[bytes]:
    """Returns a u128 of each event as its 16 bytes."""
    keys: list[bytes] = np.ascontiguousarray(events[field]).view("V16").tolist()
    return keys
