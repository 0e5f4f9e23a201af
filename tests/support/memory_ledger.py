"""A ledger in memory that answers like TigerBeetle, and can grow between two calls.

Here: pages from arrays of change events and accounts, cut at any size; builders of single records.
Not here: real bytes (tests/data/captures) and real servers (tests/support/tigerbeetle_server.py).
A re-run starts from what the test puts in.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    Records,
    timestamps_ns,
    transfers_of,
)
from masques_pipelines.ledger.source import Page


def _no_events() -> Records:
    return np.empty(0, CHANGE_EVENT_DTYPE)


def _no_accounts() -> Records:
    return np.empty(0, ACCOUNT_DTYPE)


@dataclass
class MemoryLedger:
    """A ledger source over arrays; `before_call` may change them, as writers do meanwhile."""

    events: Records = field(default_factory=_no_events)
    known_accounts: Records = field(default_factory=_no_accounts)
    cluster_id: int = 1
    release: str = "0.17.9"
    description: str = "memory://ledger"
    page_events: int = 2730
    page_accounts: int = 8189
    page_transfers: int = 8189
    has_quick_transfers: bool = False
    before_call: Callable[["MemoryLedger"], None] = lambda _ledger: None
    calls: int = 0

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        self._count()
        times = timestamps_ns(self.events)
        inside = times >= timestamp_min
        if timestamp_max:
            inside &= times <= timestamp_max
        page = self.events[inside][: min(limit or self.page_events, self.page_events)]
        return Page(data=page.tobytes(), ledger_time_ns=self.now_ns)

    def accounts(self, timestamp_min: int) -> Page:
        self._count()
        page = self.known_accounts[timestamps_ns(self.known_accounts) >= timestamp_min]
        return Page(data=page[: self.page_accounts].tobytes(), ledger_time_ns=self.now_ns)

    def transfers(self, timestamp_min: int) -> Page:
        self._count()
        made = self.events[self.events["type"] != EVENT_TYPE_EXPIRED]
        made = made[timestamps_ns(made) >= timestamp_min][: self.page_transfers]
        return Page(data=transfers_of(made).tobytes(), ledger_time_ns=self.now_ns)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def now_ns(self) -> int:
        return int(timestamps_ns(self.events).max()) if len(self.events) else 0

    def add(self, *events: Records) -> None:
        """Adds events wherever their times belong."""
        merged = np.concatenate([self.events, *events])
        self.events = merged[np.argsort(timestamps_ns(merged))]

    def _count(self) -> None:
        self.calls += 1
        self.before_call(self)


def event(timestamp_ns: int, **fields: Any) -> Records:
    """Returns one change event; every field that is not given is 0, ids follow from the time."""
    record = np.zeros(1, CHANGE_EVENT_DTYPE)
    given = {
        "transfer_id": timestamp_ns,
        "timestamp": timestamp_ns,
        "transfer_timestamp": timestamp_ns,
        "ledger": 1,
        "transfer_code": 1,
        **fields,
    }
    return _filled(record, given)


def account(timestamp_ns: int, **fields: Any) -> Records:
    """Returns one account, created at that time; every field that is not given is 0."""
    given = {"id": timestamp_ns, "timestamp": timestamp_ns, "ledger": 1, "code": 100, **fields}
    return _filled(np.zeros(1, ACCOUNT_DTYPE), given)


def _filled(record: Records, fields: dict[str, Any]) -> Records:
    for name, value in fields.items():
        if record.dtype[name].names:  # a u128
            record[name]["low"], record[name]["high"] = value & (2**64 - 1), value >> 64
        else:
            record[name] = value
    return record
