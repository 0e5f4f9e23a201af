"""Raw pages from a TigerBeetle cluster, through the official client's shared library.

Here: sessions of the library with a deadline on every call, names resolved to addresses, and the
checks that a page must pass before anyone sees it.
Not here: anything native at import (the library is loaded when a cluster is opened), any writing to
a ledger, or the meaning of the bytes (records.py).
A re-run opens a new session; a cluster keeps nothing of the one before but its place among 64.

Why not the official client's methods: they wait for ever (server down, wrong cluster id, a peer
that is no TigerBeetle), they have no change events, and they drop the reply's ledger time.
"""

import contextlib
import ctypes
import importlib.metadata
import ipaddress
import itertools
import logging
import math
import os
import re
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    EVENT_TYPE_EXPIRED,
    TRANSFER_DTYPE,
    TRANSFER_FLAG_IMPORTED,
    PageError,
    Records,
    check_accounts,
    check_change_events,
    check_transfers,
    records_of,
    timestamps_ns,
)
from masques_pipelines.ledger.sources.protocol import (
    CHANGE_EVENTS_PER_PAGE_MAX,
    RECORDS_PER_PAGE_MAX,
    LedgerRefusedError,
    LedgerUnavailableError,
    Page,
    check_range,
    parse_cluster_id,
)

# Change events of each source that are compared with the public query_transfers: about a page,
# and not only the first one, since a reader may ask for a single event first.
EVENTS_COMPARED_MIN: Final = 1000

# The first answer of a session takes about 0.6 s (registration); a view change a few seconds.
OPEN_TIMEOUT_S: Final = 5.0
# One call, its second attempt included. A rolling upgrade of a cluster takes about 5 s.
CALL_TIMEOUT_S: Final = 30.0
# Sessions outlive their clients: 64 short runs elsewhere evict the session that was idle longest.
EVICTIONS_PER_CALL_MAX: Final = 3
# Ctrl-C is seen between slices, also where a wait on a lock cannot be interrupted.
WAIT_SLICE_S: Final = 0.2
RESOLVE_TIMEOUT_S: Final = 5.0
CONNECT_TRIAL_TIMEOUT_S: Final = 0.5

# constants.port and constants.replicas_max of TigerBeetle's source.
DEFAULT_PORT: Final = 3001
ADDRESSES_MAX: Final = 6

_VERSIONS_PAGE: Final = "docs/tigerbeetle-versions.md"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """One replica's address as a person writes it; the library takes only IP addresses.

    Attributes:
        host: A name, an IPv4 address, or an IPv6 address without brackets.
        port: 1 to 65535.
    """

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `host:port`, `host`, `[ipv6]:port`, `[ipv6]`, or a port alone (on this machine).

        Raises:
            ValueError: The text is none of these; it says what is wrong, and not more of the text
                than the part that is.
        """
        if re.fullmatch(r"[0-9]+", text):  # TigerBeetle's own short form
            return cls("127.0.0.1", _port(text))
        match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::(.*))?", text)
        if match is None:
            raise ValueError("an address is host:port or [ipv6]:port")
        bracketed, plain, port_text = match.groups()
        port = DEFAULT_PORT if port_text is None else _port(port_text)
        if bracketed is not None:
            return cls(_ipv6(bracketed), port)
        if not re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?", plain):
            raise ValueError(f"{plain!r} is no host name" if "@" not in plain else "it holds an @")
        # A resolver would read 10.1 as 10.0.0.1, and 3000 as 0.0.11.184.
        if re.fullmatch(r"[0-9.]+", plain) and not _is_ip(plain):
            raise ValueError(f"{plain!r} is no IPv4 address")
        return cls(plain, port)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"port {text[:20]!r} is no number from 1 to 65535")
    return int(text)


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} in brackets is no IPv6 address") from error
    if address.scope_id is not None:
        raise ValueError(f"{text!r} has a zone (%), which the TigerBeetle client cannot use")
    # The library refuses ::ffff:10.0.0.1, and means 10.0.0.1 by it.
    return str(address.ipv4_mapped or address)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
        self._session: _Session | None = None
        self._events_to_compare = EVENTS_COMPARED_MIN
        self._library = _library()
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
        self._check_layout(events, origin=origin)
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

    def _query(self, operation: int, timestamp_min: int, timestamp_max: int, *, what: str) -> Page:
        def query_filter(limit: int) -> bytes:
            # No user_data, ledger or code is asked for; flags 0 is oldest first.
            times = struct.pack("<QQ", timestamp_min, timestamp_max)
            return bytes(40) + times + struct.pack("<II", limit, 0)

        return self._page(operation, query_filter, limit=None, what=what)

    def _check_layout(self, events: Records, *, origin: str) -> None:
        """Compares the first pages with what query_transfers says of the same times."""
        if self._events_to_compare <= 0:
            return
        made = events[events["type"] != EVENT_TYPE_EXPIRED]
        if len(made) == 0:
            return
        times = timestamps_ns(made)
        page = self._transfers_between(int(times[0]), int(times[-1]))
        transfers = records_of(page.data, TRANSFER_DTYPE, origin=origin)
        limit = self._limits[int(self._library.bindings.Operation.QUERY_TRANSFERS)]
        if len(transfers) >= limit:  # the reply may have stopped short of the page's end
            made = made[times <= transfers["timestamp"][-1]]
        check_events_are_transfers(made, transfers, origin=origin)
        self._events_to_compare -= len(made)

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
                    f"this client ({self.release}) and the cluster do not fit; see {_VERSIONS_PAGE}"
                )
            # Raised by the library before anything is sent; the smaller limit holds from now on.
            self._limits[operation] = asked // 2

    def _ask(self, operation: int, payload: bytes, *, what: str, timeout_s: float) -> "_Call":
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
                    logger.info("%s: session evicted; going on in a new one", self.description)
                else:
                    raise LedgerUnavailableError(
                        f"{self.description}: the session was evicted again and again: more than "
                        "64 clients share the cluster; end some of them and try again"
                    )
        raise LedgerUnavailableError(
            f"no TigerBeetle of cluster {self._cluster_id} at "
            f"{','.join(map(str, self._addresses))} answered {what} within {timeout_s:g} s: it is "
            f"unreachable, or the cluster id is wrong ({self._connection_trials()}): "
            "check the addresses, the cluster id, and that the server runs"
        )

    @contextlib.contextmanager
    def _used_by_this_call(self) -> Iterator[None]:
        if self._closed:
            raise RuntimeError(f"{self.description} is closed")
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

    def _ask_once(self, operation: int, payload: bytes, *, wait_s: float) -> "_Call | None":
        """Returns the answered call, or None when no answer came in time.

        A session with any other outcome than OK or TOO_MUCH_DATA is never used again.
        """
        statuses = self._library.bindings.PacketStatus
        started_s = time.monotonic()
        try:
            if self._session is None:
                addresses = resolve(self._addresses, timeout_s=min(wait_s, RESOLVE_TIMEOUT_S))
                self._session = _Session(self._library, self._cluster_id, addresses)
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
                f"or upgrade the cluster; see {_VERSIONS_PAGE}"
            )
        if status == statuses.CLIENT_RELEASE_TOO_LOW:
            return LedgerRefusedError(
                f"{self.description}: this client ({self.release}) is older than the cluster"
                f"{known} still serves: pip install tigerbeetle=={wanted}; see {_VERSIONS_PAGE}"
            )
        return LedgerRefusedError(
            f"{self.description}: the client library ({self.release}) refused the request with "
            f"{statuses(status).name}: it is of a release that this project does not know; "
            f"see {_VERSIONS_PAGE}"
        )

    def _connection_trials(self) -> str:
        """Says of each address whether anything listens there; the library does not."""
        return ", ".join(f"{address} {_connection_trial(address)}" for address in self._addresses)


def _connection_trial(address: Address) -> str:
    try:
        with socket.create_connection((address.host, address.port), CONNECT_TRIAL_TIMEOUT_S):
            return "accepts connections"
    except ConnectionRefusedError:
        return "refuses connections"
    except TimeoutError:
        return "does not answer"
    except OSError as error:
        return f"fails with {error.strerror or error}"


def resolve(addresses: Sequence[Address], *, timeout_s: float = RESOLVE_TIMEOUT_S) -> str:
    """Returns the addresses in the form that the library takes: IPs and ports, commas between.

    A name with several addresses gives its first one, an IPv4 address before an IPv6 one: the
    library counts the addresses as the cluster's replicas.

    Raises:
        LedgerUnavailableError: A name has no address, or none was found in time.
    """
    deadline_s = time.monotonic() + timeout_s
    return ",".join(
        str(address if _is_ip(address.host) else _resolved(address, deadline_s=deadline_s))
        for address in addresses
    )


def _resolved(address: Address, *, deadline_s: float) -> Address:
    """Asks the resolver on a thread of its own, since a lookup has no deadline."""
    found: list[str] = []
    problems: list[str] = ["no answer from the resolver"]

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            problems[0] = getattr(error, "strerror", None) or str(error)
            return
        infos.sort(key=lambda info: info[0] != socket.AF_INET)
        found.extend(str(info[4][0]) for info in infos)

    thread = threading.Thread(target=look_up, name="resolve ledger address", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline_s - time.monotonic()))
    if not found:
        raise LedgerUnavailableError(
            f"the ledger's host {address.host} has no address ({problems[0]}): "
            "check the name, or give its IP address"
        )
    return Address(found[0], address.port)


def _check_not_after(records: Records, *, timestamp_max: int, origin: str) -> None:
    if timestamp_max and len(records) and int(records["timestamp"][-1]) > timestamp_max:
        raise PageError(
            f"{origin}: the last record has time {int(records['timestamp'][-1])}, "
            f"asked was {timestamp_max} or earlier"
        )


# What an event repeats of its transfer: names in the event, names in the transfer.
_TRANSFER_FIELDS_OF_EVENT: Final = (
    ("transfer_id", "id"),
    ("debit_account_id", "debit_account_id"),
    ("credit_account_id", "credit_account_id"),
    ("transfer_amount", "amount"),
    ("transfer_pending_id", "pending_id"),
    ("transfer_user_data_128", "user_data_128"),
    ("transfer_user_data_64", "user_data_64"),
    ("transfer_user_data_32", "user_data_32"),
    ("transfer_timeout", "timeout"),
    ("ledger", "ledger"),
    ("transfer_code", "code"),
    ("transfer_flags", "flags"),
    ("transfer_timestamp", "timestamp"),
)
# Event type by the transfer's flags pending (2), post_pending (4), void_pending (8).
_TYPE_OF_FLAGS: Final = ((2, 1), (4, 2), (8, 3))


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
            f"see {_VERSIONS_PAGE}"
        )
    for event_field, transfer_field in _TRANSFER_FIELDS_OF_EVENT:
        _check_equal(events, event_field, transfers[transfer_field], origin=origin)
    types = np.zeros(len(events), dtype=np.uint8)
    for flag, event_type in _TYPE_OF_FLAGS:
        types[transfers["flags"] & flag != 0] = event_type
    _check_equal(events, "type", types, origin=origin)


_UNKNOWN_LAYOUT: Final = (
    "the layout of change events in this release is unknown, nothing of it was used; "
    f"see {_VERSIONS_PAGE}"
)


def _check_equal(events: Records, name: str, expected: Any, *, origin: str) -> None:
    differs = events[name] != expected
    if differs.any():
        row = int(np.argmax(differs))
        raise PageError(
            f"{origin}: {name} of record {row} (time {int(events['timestamp'][row])}) is not what "
            f"query_transfers says: {_UNKNOWN_LAYOUT}"
        )


@dataclass
class _Call:
    """One packet, with everything that the library may read or write until it is answered."""

    packet: Any
    payload: Any
    answered: threading.Event = field(default_factory=threading.Event)
    status: int = -1
    data: bytes = b""
    ledger_time_ns: int = 0


# Calls that the library holds, by the packet's user_data. A call that timed out stays here, alive,
# until the library lets go of it: it is answered late, or by CLIENT_SHUTDOWN at the latest.
_CALLS: Final[dict[int, _Call]] = {}
_CALL_NUMBERS: Final = itertools.count(1)
# Clients that the library ended by itself (eviction): its thread may still hold their addresses.
_ENDED_CLIENTS: Final[list[Any]] = []


def _on_completion(
    _context: int | None, packet: Any, ledger_time_ns: int, data_address: int | None, size: int
) -> None:
    """Runs on a thread of the library; the reply is valid only until it returns."""
    call = _CALLS.pop(packet[0].user_data)
    call.status = packet[0].status
    call.ledger_time_ns = ledger_time_ns
    if data_address and size:
        call.data = ctypes.string_at(data_address, size)
    call.answered.set()


class _Session:
    """One client of the library. Its owner never uses it again once a call has not ended well."""

    def __init__(self, library: "_Library", cluster_id: int, addresses: str) -> None:
        self._bindings = library.bindings
        library.log.start_session()
        client = self._bindings.CClient()
        cluster = (ctypes.c_uint8 * 16)(*cluster_id.to_bytes(16, "little"))
        text = addresses.encode("ascii")
        status = self._bindings.tb_client_init(
            ctypes.byref(client), ctypes.byref(cluster), text, len(text), None, library.callback
        )
        if status != self._bindings.InitStatus.SUCCESS:
            name = self._bindings.InitStatus(status).name
            raise LedgerRefusedError(
                f"the TigerBeetle client cannot start for {addresses} ({name}): on Linux it needs "
                "io_uring, which a container's seccomp profile may forbid, and free file handles"
            )
        self._client = client
        # Also at exit: the library must not call into an interpreter that is going down.
        self._deinit = weakref.finalize(
            self, _deinit, self._bindings, client, process_id=os.getpid()
        )

    def ask(self, operation: int, payload: bytes, *, wait_s: float) -> _Call | None:
        """Returns the answered call, or None when no answer came within that time."""
        # Eight-byte items, since the library reads the filter in place and aligned.
        words = (ctypes.c_uint64 * (len(payload) // 8)).from_buffer_copy(payload)
        number = next(_CALL_NUMBERS)
        packet = self._bindings.CPacket(
            user_data=number,
            data=ctypes.cast(words, ctypes.c_void_p),
            data_size=len(payload),
            user_tag=0,
            operation=operation,
            status=0,
        )
        call = _CALLS[number] = _Call(packet=packet, payload=words)
        status = self._bindings.tb_client_submit(ctypes.byref(self._client), ctypes.byref(packet))
        if status != self._bindings.ClientStatus.OK:  # evicted since the last call
            del _CALLS[number]
            call.status = self._bindings.PacketStatus.CLIENT_SHUTDOWN
            return call
        deadline_s = time.monotonic() + wait_s
        while not call.answered.wait(min(WAIT_SLICE_S, max(0.0, deadline_s - time.monotonic()))):
            if time.monotonic() >= deadline_s:
                return None
        return call

    def close(self) -> None:
        """Ends the client; what is outstanding is answered with CLIENT_SHUTDOWN."""
        self._deinit()


def _deinit(bindings: Any, client: Any, *, process_id: int) -> None:
    if os.getpid() != process_id:  # a fork has the memory, and not the thread to stop
        return
    if bindings.tb_client_deinit(ctypes.byref(client)) != bindings.ClientStatus.OK:
        _ENDED_CLIENTS.append(client)


class _LibraryLog(logging.Filter):
    """Lets each warning of a session pass once, and remembers the cluster's release.

    A client that finds no server says so three times a second. The release is nowhere but in the
    log. A filter, because a handler would keep the warnings from Python's handler of last resort.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cluster_release: str | None = None
        self._said: set[str] = set()

    def start_session(self) -> None:
        self.cluster_release = None
        self._said.clear()

    def filter(self, record: logging.LogRecord) -> bool:
        line = re.sub(r"[0-9]{20,}: ", "", record.getMessage())  # the client's own random id
        match = re.search(r"session evicted: .*\(cluster_release=([0-9.]+)", line)
        if match:
            self.cluster_release = match[1]
        is_new = line not in self._said
        self._said.add(line)
        return is_new


@dataclass(frozen=True)
class _Library:
    """The loaded shared library. The callback lives as long as the process: threads call it."""

    bindings: Any
    callback: Any
    log: _LibraryLog
    release: str


_LOADED: Final[list[_Library]] = []
_LOADING: Final = threading.Lock()


def _library() -> _Library:
    """Loads the library at its first use in this process."""
    with _LOADING:
        if not _LOADED:
            _LOADED.append(_load())
        return _LOADED[0]


def _load() -> _Library:
    try:
        release = importlib.metadata.version("tigerbeetle")
        import tigerbeetle  # noqa: PLC0415 - it loads the shared library
        from tigerbeetle import bindings  # noqa: PLC0415
    except Exception as error:  # it raises errors of its own while being imported
        raise LedgerRefusedError(
            f"the TigerBeetle client library cannot be loaded ({type(error).__name__}: {error}): "
            f"install it with pip install tigerbeetle on a platform it is built for; "
            f"see {_VERSIONS_PAGE}"
        ) from error
    library_logger = logging.getLogger("tigerbeetle")
    if library_logger.level == logging.NOTSET:
        library_logger.setLevel(logging.WARNING)
    # At import the client asks for every debug line. Each is a call into Python by the library's
    # thread, under a lock that a fork would find taken for ever.
    tigerbeetle.configure_logging(debug=library_logger.level == logging.DEBUG)
    log = _LibraryLog()
    library_logger.addFilter(log)
    return _Library(
        bindings=bindings,
        callback=bindings.OnCompletion(_on_completion),
        log=log,
        release=release,
    )
