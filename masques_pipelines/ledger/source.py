"""The ledger source interface: raw pages of records, with the ledger's own time.

A folder of each kind implements it (tigerbeetle/, capture/); connect.py lists them.
"""

import re
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from masques_pipelines.errors import PermanentError, TransientError
from masques_pipelines.ledger.records import TIMESTAMP_MAX

# The most that one reply of 1 MiB holds: 384-byte change events, and 128-byte records (one slot of
# 8190 is the reply's trailer). A development server sends at most 1016 change events.
CHANGE_EVENTS_PER_PAGE_MAX: Final = 2730
RECORDS_PER_PAGE_MAX: Final = 8189


class LedgerUnavailableError(TransientError):
    """The ledger gave no answer in time; the text names the address and what to look at."""


class LedgerRefusedError(PermanentError):
    """The ledger or its files refuse this reader; the text says what to change."""


@dataclass(frozen=True)
class Page:
    """Whole records as the ledger returned them.

    Attributes:
        data: Records back to back, ascending by their time; b"" when there is nothing.
        ledger_time_ns: The ledger's own clock when it made the page, nanoseconds since 1970. Every
            record of the page shows the state at exactly that time. A page without records means
            that nothing of the requested range is still to come at or before this time, except
            late imports.
    """

    data: bytes
    ledger_time_ns: int


def check_range(timestamp_min: int, timestamp_max: int = 0, limit: int | None = None) -> None:
    """Raises ValueError unless a ledger would answer this range as it is meant.

    A ledger answers an invalid range with an empty page and status OK, which looks like "caught
    up"; and a negative time wraps to 2^64 - 1 on its way into the library.
    """
    for name, value in (("timestamp_min", timestamp_min), ("timestamp_max", timestamp_max)):
        if not 0 <= value <= TIMESTAMP_MAX:
            raise ValueError(f"{name} is {value}, not a time from 0 to 2^63 - 1")
    if timestamp_max and timestamp_min > timestamp_max:
        raise ValueError(f"timestamp_min {timestamp_min} is above timestamp_max {timestamp_max}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, not 1 or more")


def parse_cluster_id(text: str) -> int:
    """Reads a cluster's number: decimal digits, as TigerBeetle's own commands take it.

    Raises:
        ValueError: It is not a number from 0 to 2^128 - 1.
    """
    if not re.fullmatch(r"[0-9]{1,39}", text) or int(text) >= 2**128:
        raise ValueError(f"{text[:60]!r} is not a valid cluster id, a number from 0 to 2^128 - 1")
    return int(text)


class LedgerSource(Protocol):
    """A ledger that can be read page by page; no call ever writes to it.

    A source is used by one thread at a time. A page may be shorter than the ledger's limit although
    more is to come (a development server does that): only an empty page is the end.
    """

    @property
    def cluster_id(self) -> int:
        """The cluster's number (u128), or the one that a capture was taken from."""

    @property
    def release(self) -> str:
        """The release of the client library that reads, or that a capture was taken with."""

    @property
    def description(self) -> str:
        """Names the source in messages and metadata, without any secret."""

    @property
    def has_quick_transfers(self) -> bool:
        """Whether transfers() shows the same moment as change_events(), for less of its time."""

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        """Returns change events (384 bytes each) of that closed range, oldest first.

        Args:
            timestamp_min: Oldest time wanted, nanoseconds, 0 or more.
            timestamp_max: Newest time wanted, 0 for no bound.
            limit: Most records wanted, 1 or more; None for the most that one reply can hold, which
                is also the most that any limit gets.

        Raises:
            LedgerUnavailableError: No answer before the deadline.
            LedgerRefusedError: The ledger will never answer this reader.
            PageError: The reply does not have the expected layout.
            ValueError: The range is invalid (below 0, 2^63 or more, min above max, limit below 1).
        """

    def accounts(self, timestamp_min: int) -> Page:
        """Returns accounts (128 bytes each) created at that time or later, oldest first.

        Raises:
            LedgerUnavailableError, LedgerRefusedError, PageError, ValueError: as change_events.
        """

    def transfers(self, timestamp_min: int) -> Page:
        """Returns transfers (128 bytes each) of that time or later, oldest first.

        Expiries do not show here: without change events beside it, no sync can use it.

        Raises:
            LedgerUnavailableError, LedgerRefusedError, PageError, ValueError: as change_events.
        """

    def close(self) -> None:
        """Releases the connection or the files; further calls are an error."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
