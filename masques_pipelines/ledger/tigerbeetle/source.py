"""Reads raw pages from a TigerBeetle cluster, through the official client's shared library.

Nothing native is loaded at import, and nothing is ever written to the ledger. Every page passes its
checks before anyone sees it. A cluster keeps nothing of a session but its place among 64.

Why not the official client's methods: they wait for ever (server down, wrong cluster id, another
server at that address), they have no change events, and they drop the reply's ledger time.
"""

import contextlib
import logging
import math
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    TRANSFER_DTYPE,
    PageError,
    Records,
    check_accounts,
    check_change_events,
    check_transfers,
    records_of,
)
from masques_pipelines.ledger.source import (
    CHANGE_EVENTS_PER_PAGE_MAX,
    RECORDS_PER_PAGE_MAX,
    LedgerRefusedError,
    LedgerUnavailableError,
    Page,
    check_range,
    parse_cluster_id,
)
from masques_pipelines.ledger.tigerbeetle.address import (
    ADDRESSES_MAX,
    RESOLVE_TIMEOUT_S,
    Address,
    resolve,
    trials_text,
)
from masques_pipelines.ledger.tigerbeetle.layout import LayoutComparison
from masques_pipelines.ledger.tigerbeetle.session import VERSIONS_PAGE, Call, Session, load_library

# The first answer of a session takes about 0.6 s (registration); a view change a few seconds.
OPEN_TIMEOUT_S: Final = 5.0
# One call, its second attempt included. A rolling upgrade of a cluster takes about 5 s.
CALL_TIMEOUT_S: Final = 30.0
# Sessions outlive their clients: 64 short runs elsewhere evict the session that was idle longest.
EVICTIONS_PER_CALL_MAX: Final = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """How long a source waits, and how much it asks for at once.

    Attributes:
        open_timeout_s: Longest wait for the first answer.
        timeout_s: Longest wait for one page, the second attempt included.
        change_events_per_page: Most change events asked for at once.
        records_per_page: Most accounts or transfers asked for at once.

    Raises:
        ValueError: One of them is not above 0.
    """

    open_timeout_s: float = OPEN_TIMEOUT_S
    timeout_s: float = CALL_TIMEOUT_S
    change_events_per_page: int = CHANGE_EVENTS_PER_PAGE_MAX
    records_per_page: int = RECORDS_PER_PAGE_MAX

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}, not a number above 0")


_BOUNDS: Final = Bounds()


class TigerBeetleSource:
    """A ledger source that reads a TigerBeetle cluster.

    Opening asks the cluster one small question, so that a wrong address or cluster id is one clear
    error within seconds. The first pages of change events are compared with the public
    query_transfers, because no client's interface promises the layout of change events.

    Args:
        cluster_id: The cluster's number, 0 to 2^128 - 1.
        addresses: One per replica, in the cluster's own order; at most ADDRESSES_MAX.
        bounds: Deadlines and page sizes.

    Raises:
        LedgerUnavailableError: No TigerBeetle of that cluster answered.
        LedgerRefusedError: The cluster refuses this client's release, or the client cannot start.
        ValueError: The cluster id or the number of addresses cannot be used.
    """

    def __init__(
        self, cluster_id: int, addresses: Sequence[Address], *, bounds: Bounds = _BOUNDS
    ) -> None:
        parse_cluster_id(str(cluster_id))
        if not 1 <= len(addresses) <= ADDRESSES_MAX:
            raise ValueError(f"{len(addresses)} addresses; a cluster has 1 to {ADDRESSES_MAX}")
        self._cluster_id = cluster_id
        self._addresses = tuple(addresses)
        self._timeout_s = bounds.timeout_s
        self._process_id = os.getpid()
        self._in_use = threading.Lock()
        self._closed = False
        self._session: Session | None = None
        self._layout = LayoutComparison(self._transfers_of)
        self._library = load_library()
        operations = self._library.bindings.Operation
        self._limits = {
            int(operations.GET_CHANGE_EVENTS): bounds.change_events_per_page,
            int(operations.QUERY_ACCOUNTS): bounds.records_per_page,
            int(operations.QUERY_TRANSFERS): bounds.records_per_page,
        }
        try:
            self._probe(bounds.open_timeout_s)
        except BaseException:
            self.close()
            raise

    @property
    def cluster_id(self) -> int:
        """The cluster's number."""
        return self._cluster_id

    @property
    def release(self) -> str:
        """The release of the client library that reads."""
        return self._library.release

    @property
    def description(self) -> str:
        """The URL of the cluster, which holds no secret."""
        addresses = ",".join(map(str, self._addresses))
        return f"tigerbeetle://{addresses}/?cluster_id={self._cluster_id}"

    @property
    def has_quick_transfers(self) -> bool:
        """Always: a third of the bytes, and a fourth of the server's time (research: 2.45 M/s)."""
        return True

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        """Returns change events of that closed range, oldest first (see LedgerSource)."""
        check_range(timestamp_min, timestamp_max, limit)
        operation = self._library.bindings.Operation.GET_CHANGE_EVENTS
        origin = f"{self.description} change events from {timestamp_min}"
        page = self._page(
            operation,
            lambda limit: struct.pack("<QQI44x", timestamp_min, timestamp_max, limit),
            limit=limit,
            what="change events",
        )
        events = records_of(page.data, CHANGE_EVENT_DTYPE, origin=origin)
        check_change_events(events, timestamp_min=timestamp_min, origin=origin)
        _check_not_after(events, timestamp_max=timestamp_max, origin=origin)
        self._layout.check(events, origin=origin)
        return page

    def accounts(self, timestamp_min: int) -> Page:
        """Returns accounts created at that time or later, oldest first (see LedgerSource)."""
        check_range(timestamp_min)
        operation = self._library.bindings.Operation.QUERY_ACCOUNTS
        origin = f"{self.description} accounts from {timestamp_min}"
        page = self._query(operation, timestamp_min, 0, what="accounts")
        accounts = records_of(page.data, ACCOUNT_DTYPE, origin=origin)
        check_accounts(accounts, timestamp_min=timestamp_min, origin=origin)
        return page

    def transfers(self, timestamp_min: int) -> Page:
        """Returns transfers of that time or later, oldest first (see LedgerSource)."""
        check_range(timestamp_min)
        return self._transfers_between(timestamp_min, 0)

    def close(self) -> None:
        """Ends the session; closing again does nothing. In a fork it only forgets."""
        self._closed = True
        self._drop_session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _probe(self, open_timeout_s: float) -> None:
        operation = self._library.bindings.Operation.LOOKUP_ACCOUNTS
        account_1 = (1).to_bytes(16, "little")
        self._ask(operation, account_1, what="a greeting", timeout_s=open_timeout_s)

    def _transfers_between(self, timestamp_min: int, timestamp_max: int) -> Page:
        operation = self._library.bindings.Operation.QUERY_TRANSFERS
        origin = f"{self.description} transfers from {timestamp_min}"
        page = self._query(operation, timestamp_min, timestamp_max, what="transfers")
        transfers = records_of(page.data, TRANSFER_DTYPE, origin=origin)
        check_transfers(transfers, timestamp_min=timestamp_min, origin=origin)
        _check_not_after(transfers, timestamp_max=timestamp_max, origin=origin)
        return page

    def _transfers_of(self, from_ns: int, to_ns: int) -> tuple[Records, bool]:
        """Returns transfers of those times, and whether the reply may have stopped short."""
        page = self._transfers_between(from_ns, to_ns)
        transfers = records_of(page.data, TRANSFER_DTYPE, origin=self.description)
        limit = self._limits[int(self._library.bindings.Operation.QUERY_TRANSFERS)]
        return transfers, len(transfers) >= limit

    def _query(self, operation: int, timestamp_min: int, timestamp_max: int, *, what: str) -> Page:
        def query_filter(limit: int) -> bytes:
            # No user_data, ledger or code is asked for; flags 0 is oldest first.
            times = struct.pack("<QQ", timestamp_min, timestamp_max)
            return bytes(40) + times + struct.pack("<II", limit, 0)

        return self._page(operation, query_filter, limit=None, what=what)

    def _page(
        self,
        operation: int,
        filter_of_limit: Callable[[int], bytes],
        *,
        limit: int | None,
        what: str,
    ) -> Page:
        """Asks for one page, halving the limit for as long as the library calls it too much."""
        statuses = self._library.bindings.PacketStatus
        while True:
            asked = min(limit or self._limits[operation], self._limits[operation])
            call = self._ask(
                operation,
                filter_of_limit(asked),
                what=f"a page of {what}",
                timeout_s=self._timeout_s,
            )
            if call.status != statuses.TOO_MUCH_DATA:
                return Page(data=call.data, ledger_time_ns=call.ledger_time_ns)
            if asked == 1:
                raise LedgerRefusedError(
                    f"{self.description}: one record of {what} is too much for a reply: "
                    f"client {self.release} and the cluster do not match; see {VERSIONS_PAGE}"
                )
            # Raised by the library before anything is sent; the smaller limit holds from now on.
            self._limits[operation] = asked // 2

    def _ask(self, operation: int, payload: bytes, *, what: str, timeout_s: float) -> Call:
        """Returns an answered call whose status is OK or TOO_MUCH_DATA.

        A session that has answered before gets half of the time, a new one the rest. A session that
        starts new gets all of it: its library reconnects by itself, and a short time cut in two
        might never be enough to register.
        """
        statuses = self._library.bindings.PacketStatus
        deadline_s = time.monotonic() + timeout_s
        evictions_left = EVICTIONS_PER_CALL_MAX
        with self._used_by_this_call():
            attempts_left = 2 if self._session is not None else 1
            while attempts_left:
                self._check_open()  # again: a close in another thread ends the wait
                wait_s = (deadline_s - time.monotonic()) / attempts_left
                call = self._ask_once(operation, payload, wait_s=wait_s)
                if call is None:
                    attempts_left -= 1
                    if attempts_left:
                        logger.info(
                            "%s: no answer to %s in %.1f s; asking again in a new session",
                            self.description,
                            what,
                            wait_s,
                        )
                elif call.status in (statuses.OK, statuses.TOO_MUCH_DATA):
                    return call
                elif call.status not in (statuses.CLIENT_EVICTED, statuses.CLIENT_SHUTDOWN):
                    raise self._refusal(call.status)
                elif evictions_left:
                    evictions_left -= 1
                    logger.info("%s: session evicted; continuing in a new one", self.description)
                else:
                    raise LedgerUnavailableError(
                        f"{self.description}: the session was evicted again and again: more than "
                        "64 clients share the cluster; end some of them and try again"
                    )
        raise LedgerUnavailableError(
            f"no TigerBeetle of cluster {self._cluster_id} at "
            f"{','.join(map(str, self._addresses))} answered {what} within {timeout_s:g} s: "
            f"{trials_text(self._addresses)}"
        )

    @contextlib.contextmanager
    def _used_by_this_call(self) -> Iterator[None]:
        self._check_open()
        if os.getpid() != self._process_id:
            # The library's thread does not cross a fork: the child would hang and its parent abort.
            raise LedgerRefusedError(
                f"{self.description}: opened by process {self._process_id}, and this is its fork "
                f"{os.getpid()}: open the ledger again in this process"
            )
        if not self._in_use.acquire(blocking=False):
            # Three outstanding calls for change events on one client abort the whole process.
            raise RuntimeError(f"{self.description} is in use by another thread")
        try:
            yield
        finally:
            self._in_use.release()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self.description} is closed")

    def _ask_once(self, operation: int, payload: bytes, *, wait_s: float) -> Call | None:
        """Returns the answered call, or None when no answer came in time.

        A session with any other outcome than OK or TOO_MUCH_DATA is never used again.
        """
        statuses = self._library.bindings.PacketStatus
        started_s = time.monotonic()
        try:
            if self._session is None:
                addresses = resolve(self._addresses, timeout_s=min(wait_s, RESOLVE_TIMEOUT_S))
                self._session = Session(self._library, self._cluster_id, addresses)
            remaining_s = wait_s - (time.monotonic() - started_s)
            call = self._session.ask(operation, payload, wait_s=remaining_s)
        except BaseException:  # Ctrl-C among them: the call is still outstanding
            self._drop_session()
            raise
        if call is None or call.status not in (statuses.OK, statuses.TOO_MUCH_DATA):
            self._drop_session()
        return call

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _refusal(self, status: int) -> LedgerRefusedError:
        statuses = self._library.bindings.PacketStatus
        cluster_release = self._library.log.cluster_release
        known = f" ({cluster_release})" if cluster_release else ""
        wanted = cluster_release or "<the cluster's version>"
        if status == statuses.CLIENT_RELEASE_TOO_HIGH:
            return LedgerRefusedError(
                f"{self.description}: the cluster{known} is older than this client "
                f"({self.release}) and refuses it: pip install tigerbeetle=={wanted}, "
                f"or upgrade the cluster; see {VERSIONS_PAGE}"
            )
        if status == statuses.CLIENT_RELEASE_TOO_LOW:
            return LedgerRefusedError(
                f"{self.description}: this client ({self.release}) is older than the cluster"
                f"{known} still serves: pip install tigerbeetle=={wanted}; see {VERSIONS_PAGE}"
            )
        return LedgerRefusedError(
            f"{self.description}: the client library ({self.release}) refused the request with "
            f"{statuses(status).name}: it is of a release that this project does not know; "
            f"see {VERSIONS_PAGE}"
        )


def _check_not_after(records: Records, *, timestamp_max: int, origin: str) -> None:
    if timestamp_max and len(records) and int(records["timestamp"][-1]) > timestamp_max:
        raise PageError(
            f"{origin}: the last record has time {int(records['timestamp'][-1])}, "
            f"asked was {timestamp_max} or earlier"
        )
