"""Compares change events with the public query_transfers: no client promises their layout."""

from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np

from masques_pipelines.ledger.records import (
    EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    TRANSFER_FLAG_IMPORTED,
    PageError,
    Records,
    events_of_transfers,
    timestamps_ns,
)
from masques_pipelines.ledger.tigerbeetle.session import VERSIONS_PAGE

# Change events of each source that are compared with the public query_transfers: about a page,
# and not only the first one, since a reader may ask for a single event first.
EVENTS_COMPARED_MIN: Final = 1000
# And as many values other than zero of each field: two fields of zeros may have changed places.
VALUES_COMPARED_MIN: Final = 100


class LayoutComparison:
    """Compares a source's first change events, and those with the first values of any field.

    Args:
        transfers_of: Returns the transfers from one time to another, and whether there may be more.
    """

    def __init__(self, transfers_of: Callable[[int, int], tuple[Records, bool]]) -> None:
        self._transfers_of = transfers_of
        self._events_left = EVENTS_COMPARED_MIN
        self._values_left = dict.fromkeys(EVENT_DTYPE.names or (), VALUES_COMPARED_MIN)

    def check(self, events: Records, *, origin: str) -> None:
        """Raises PageError when a page that is compared is not what query_transfers returns."""
        made = events[events["type"] != EVENT_TYPE_EXPIRED]
        if len(made) == 0:
            return
        if self._events_left <= 0 and not values_other_than_zero(made, self._values_left):
            return
        times = timestamps_ns(made)
        transfers, is_cut = self._transfers_of(int(times[0]), int(times[-1]))
        if is_cut:
            made = made[times <= transfers["timestamp"][-1]]
        check_events_are_transfers(made, transfers, origin=origin)
        self._events_left -= len(made)
        for name, count in values_other_than_zero(made, self._values_left).items():
            self._values_left[name] -= count
            if self._values_left[name] <= 0:
                del self._values_left[name]


def values_other_than_zero(events: Records, names: Collection[str]) -> dict[str, int]:
    """Returns how many events have another value than zero, for those fields that have any."""
    counts = {}
    for name in names:
        field = events[name]
        filled = field["low"] | field["high"] if field.dtype.names else field
        count = int(np.count_nonzero(filled))
        if count:
            counts[name] = count
    return counts


def check_events_are_transfers(events: Records, transfers: Records, *, origin: str) -> None:
    """Raises PageError unless each event repeats its transfer, and each transfer has its event.

    Args:
        events: Change events in ascending order, none of them an expiry.
        transfers: All transfers from the first to the last of these times. One that was imported
            may lack its event: it may have landed between the two readings.
        origin: Names the page in the error.
    """
    has_event = np.isin(timestamps_ns(transfers), timestamps_ns(events))
    missed = transfers[~has_event & (transfers["flags"] & TRANSFER_FLAG_IMPORTED == 0)]
    transfers = transfers[has_event]
    if len(transfers) != len(events):
        raise PageError(
            f"{origin}: {len(events)} change events, but {len(transfers)} transfers of the same "
            f"times: {_UNKNOWN_LAYOUT}"
        )
    if len(missed):
        raise PageError(
            f"{origin}: the transfer of time {int(missed['timestamp'][0])} has no change event: "
            "a ledger that was written by a release before 0.16.29 cannot be copied whole; "
            f"see {VERSIONS_PAGE}"
        )
    expected = events_of_transfers(transfers)
    for name in EVENT_DTYPE.names or ():
        _check_equal(events, name, expected[name], origin=origin)


_UNKNOWN_LAYOUT: Final = (
    "the layout of change events in this release is unknown, nothing of it was used; "
    f"see {VERSIONS_PAGE}"
)


def _check_equal(events: Records, name: str, expected: Any, *, origin: str) -> None:
    differs = events[name] != expected
    if differs.any():
        row = int(np.argmax(differs))
        raise PageError(
            f"{origin}: {name} of record {row} (time {int(events['timestamp'][row])}) is not what "
            f"query_transfers returns: {_UNKNOWN_LAYOUT}"
        )
