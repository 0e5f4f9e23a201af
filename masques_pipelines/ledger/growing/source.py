"""Reads a growing ledger: a folder of change events by day, of which a clock shows what is past.

The sandbox writes it. `days/<number>.bin` has the change events of a day, ascending, and
`accounts/<number>.bin` all accounts with their balances at its beginning. `clock.json` says when
the days begin and what time it is: nothing later is ever shown. The files are mapped, not read, and
a day is checked when it is first used.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import numpy as np

from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    Records,
    check_accounts,
    check_change_events,
    transfers_of,
)
from masques_pipelines.ledger.source import (
    CHANGE_EVENTS_PER_PAGE_MAX,
    RECORDS_PER_PAGE_MAX,
    LedgerRefusedError,
    Page,
    check_range,
)

DAYS_NAME: Final = "days"
ACCOUNTS_NAME: Final = "accounts"
CLOCK_NAME: Final = "clock.json"
_DAY_NS: Final = 86_400 * 10**9
_BALANCES: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")


def file_name(day: int) -> str:
    """Returns the name of a day's file."""
    return f"{day:06d}.bin"


class GrowingSource:
    """A ledger source that answers from the days of a folder, up to the time of its clock.

    The clock is read once: a source shows one moment.

    Args:
        folder: Holds clock.json, days/ and accounts/.

    Raises:
        LedgerRefusedError: The folder is not such a ledger.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        clock = _read_clock(folder / CLOCK_NAME)
        self._start_ns: int = clock["start_ns"]
        self._now_ns: int = clock["now_ns"]
        self._cluster_id: int = clock["cluster"]
        self._release: str = clock["release"]
        self._days: dict[int, Records] = {}
        self._accounts: Records | None = None
        self._closed = False

    @property
    def cluster_id(self) -> int:
        """The number that tells this ledger from others."""
        return self._cluster_id

    @property
    def release(self) -> str:
        """The release of TigerBeetle whose records these are."""
        return self._release

    @property
    def description(self) -> str:
        """The folder as a URL."""
        return f"sandbox://{quote(str(self._folder))}"

    @property
    def has_quick_transfers(self) -> bool:
        """Never: its transfers are made from its change events."""
        return False

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        """Returns change events of that closed range, oldest first (see LedgerSource)."""
        self._check_open()
        check_range(timestamp_min, timestamp_max, limit)
        most = min(limit or CHANGE_EVENTS_PER_PAGE_MAX, CHANGE_EVENTS_PER_PAGE_MAX)
        until = min(timestamp_max or self._now_ns, self._now_ns)
        for events in self._from(timestamp_min):
            start, end = np.searchsorted(
                events["timestamp"], np.array([timestamp_min, until + 1], np.uint64)
            ).tolist()
            if start < end:
                return self._page(events[start : min(end, start + most)])
        return self._page(None)

    def accounts(self, timestamp_min: int) -> Page:
        """Returns accounts created at that time or later, oldest first (see LedgerSource)."""
        self._check_open()
        check_range(timestamp_min)
        if self._accounts is None:
            self._accounts = self._accounts_now()
        created = self._accounts["timestamp"]
        start = int(np.searchsorted(created, np.uint64(timestamp_min)))
        end = int(np.searchsorted(created, np.uint64(self._now_ns + 1)))
        return self._page(self._accounts[start : min(end, start + RECORDS_PER_PAGE_MAX)])

    def transfers(self, timestamp_min: int) -> Page:
        """Returns transfers of that time or later, oldest first (see LedgerSource)."""
        self._check_open()
        check_range(timestamp_min)
        for events in self._from(timestamp_min):
            start, end = np.searchsorted(
                events["timestamp"], np.array([timestamp_min, self._now_ns + 1], np.uint64)
            ).tolist()
            chosen = events[start:end]
            chosen = chosen[chosen["type"] != EVENT_TYPE_EXPIRED][:RECORDS_PER_PAGE_MAX]
            if len(chosen):
                return self._page(transfers_of(chosen))
        return self._page(None)

    def close(self) -> None:
        """Refuses further calls and forgets the files; closing again does nothing."""
        self._closed = True
        self._days.clear()
        self._accounts = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _page(self, records: Records | None) -> Page:
        data = b"" if records is None else records.tobytes()
        return Page(data=data, ledger_time_ns=self._now_ns)

    def _day_of(self, time_ns: int) -> int:
        return max(0, (time_ns - self._start_ns) // _DAY_NS)

    def _from(self, time_ns: int) -> Iterator[Records]:
        """Yields the days from a time on, as far as the clock."""
        for day in range(self._day_of(time_ns), self._day_of(self._now_ns) + 1):
            if day not in self._days:
                path = self._folder / DAYS_NAME / file_name(day)
                events = _mapped(path, CHANGE_EVENT_DTYPE)
                check_change_events(events, timestamp_min=0, origin=str(path))
                self._days[day] = events
            yield self._days[day]

    def _accounts_now(self) -> Records:
        """Returns the accounts as they are now: as the day began, and what it changed since."""
        day = self._day_of(self._now_ns)
        path = self._folder / ACCOUNTS_NAME / file_name(day)
        accounts = np.array(_mapped(path, ACCOUNT_DTYPE))
        check_accounts(accounts, timestamp_min=0, origin=str(path))
        for events in self._from(self._now_ns):
            past = events[: int(np.searchsorted(events["timestamp"], np.uint64(self._now_ns + 1)))]
            _apply(accounts, past)
        return accounts

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self.description} is closed")


def _apply(accounts: Records, events: Records) -> None:
    """Gives accounts the balances that the last event of each of them shows."""
    sides = ("debit", "credit")
    created = np.concatenate([events[f"{side}_account_timestamp"] for side in sides])
    # The newest first: of equal ones unique gives the first.
    order = np.argsort(-np.tile(np.arange(len(events)), 2), kind="stable")
    touched, newest = np.unique(created[order], return_index=True)
    places = np.searchsorted(accounts["timestamp"], touched)
    for name in _BALANCES:
        both = np.concatenate([events[f"{side}_account_{name}"] for side in sides])
        accounts[name][places] = both[order][newest]


def _mapped(path: Path, dtype: np.dtype[Any]) -> Records:
    """Maps a file of records; an empty one has none."""
    try:
        size = path.stat().st_size
        if size % dtype.itemsize:
            raise LedgerRefusedError(
                f"{path}: {size} bytes are not whole records of {dtype.itemsize} bytes: make the "
                "sandbox again (masques sandbox new)"
            )
        return np.memmap(path, dtype, mode="r") if size else np.empty(0, dtype)
    except OSError as error:
        raise LedgerRefusedError(
            f"{path}: it cannot be read ({error.strerror}): make the sandbox again (masques "
            "sandbox new)"
        ) from error


def _read_clock(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {
            "start_ns": int(kept["start_ns"]),
            "now_ns": int(kept["now_ns"]),
            "cluster": int(kept["cluster"]),
            "release": str(kept["release"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LedgerRefusedError(
            f"{path}: it cannot be read as the clock of a sandbox ({type(error).__name__}): make "
            "the sandbox again (masques sandbox new)"
        ) from error
