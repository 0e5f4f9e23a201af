"""Sessions with a TigerBeetle cluster, over the official client's shared library.

Loads the library at its first use in a process, and makes one bounded call at a time on one client
of it; source.py decides which calls to make.

What the library forbids, and how that is kept here: it writes to a packet until that is answered,
so packets are kept in a table until then; a client with an unanswered call is never used again,
since three outstanding calls for change events abort the whole process; and no thread of the
library crosses a fork, so a fork never touches its parent's clients.
"""

import ctypes
import importlib.metadata
import itertools
import logging
import os
import re
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import Any, Final

from masques_pipelines.ledger.source import LedgerRefusedError

# Ctrl-C is seen between slices, also where a wait on a lock cannot be interrupted.
WAIT_SLICE_S: Final = 0.2

LINES_REMEMBERED_MAX: Final = 1000

VERSIONS_PAGE: Final = "docs/tigerbeetle-versions.md"
# The client that pyproject.toml pins, and that the tests are run with.
PINNED_RELEASE: Final = "0.17.9"
# Names of the client's private bindings that this project uses.
BINDINGS: Final = (
    "CClient",
    "CPacket",
    "ClientStatus",
    "InitStatus",
    "OnCompletion",
    "Operation",
    "PacketStatus",
    "tb_client_deinit",
    "tb_client_init",
    "tb_client_submit",
)
MEMBERS: Final = {
    "Operation": ("GET_CHANGE_EVENTS", "LOOKUP_ACCOUNTS", "QUERY_ACCOUNTS", "QUERY_TRANSFERS"),
    "PacketStatus": (
        "OK",
        "TOO_MUCH_DATA",
        "CLIENT_EVICTED",
        "CLIENT_RELEASE_TOO_LOW",
        "CLIENT_RELEASE_TOO_HIGH",
        "CLIENT_SHUTDOWN",
    ),
    "InitStatus": ("SUCCESS",),
    "ClientStatus": ("OK",),
}

logger = logging.getLogger(__name__)


class _LibraryLog(logging.Filter):
    """Lets each warning of a session pass once, and remembers the cluster's release.

    A client that finds no server logs that three times a second. The release is only in the
    log. A filter, because a handler would keep the warnings from Python's handler of last resort.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cluster_release: str | None = None
        self._seen: set[str] = set()

    def start_session(self) -> None:
        self.cluster_release = None
        self._seen.clear()

    def filter(self, record: logging.LogRecord) -> bool:
        line = re.sub(r"[0-9]{20,}: ", "", record.getMessage())  # the client's own random id
        match = re.search(r"session evicted: .*\(cluster_release=([0-9.]+)", line)
        if match:
            self.cluster_release = match[1]
        is_new = line not in self._seen
        if len(self._seen) < LINES_REMEMBERED_MAX:
            self._seen.add(line)
        return is_new


@dataclass(frozen=True)
class Library:
    """The loaded shared library. The callback lives as long as the process: threads call it."""

    bindings: Any
    callback: Any
    log: _LibraryLog
    release: str


_LOADED: Final[list[Library]] = []
_LOADING: Final = threading.Lock()


def load_library() -> Library:
    """Loads the library at its first use in this process."""
    with _LOADING:
        if not _LOADED:
            _LOADED.append(_loaded_library())
        return _LOADED[0]


def _loaded_library() -> Library:
    try:
        release = importlib.metadata.version("tigerbeetle")
        import tigerbeetle  # noqa: PLC0415 - it loads the shared library
        from tigerbeetle import bindings  # noqa: PLC0415
    except Exception as error:  # it raises errors of its own while being imported
        raise LedgerRefusedError(
            f"the TigerBeetle client library cannot be loaded ({type(error).__name__}: {error}): "
            "install it with pip install tigerbeetle on a platform that it is built for; "
            f"see {VERSIONS_PAGE}"
        ) from error
    check_client(bindings, release)
    library_logger = logging.getLogger("tigerbeetle")
    if library_logger.level == logging.NOTSET:
        library_logger.setLevel(logging.WARNING)
    # At import the client asks for every debug line. Each is a call into Python by the library's
    # thread, under a lock that a fork would find taken for ever.
    tigerbeetle.configure_logging(debug=library_logger.level == logging.DEBUG)
    log = _LibraryLog()
    library_logger.addFilter(log)
    return Library(
        bindings=bindings,
        callback=bindings.OnCompletion(_on_completion),
        log=log,
        release=release,
    )


def check_client(bindings: Any, release: str) -> None:
    """Raises LedgerRefusedError when the client lacks what is used; warns of one not pinned."""
    missing = [name for name in BINDINGS if not hasattr(bindings, name)]
    missing += [
        f"{owner}.{name}"
        for owner, names in MEMBERS.items()
        for name in names
        if hasattr(bindings, owner) and not hasattr(getattr(bindings, owner), name)
    ]
    if missing:
        raise LedgerRefusedError(
            f"the TigerBeetle client {release} has no {', '.join(missing)}, which reading change "
            f"events needs: pip install tigerbeetle=={PINNED_RELEASE}; see {VERSIONS_PAGE}"
        )
    if release != PINNED_RELEASE:
        logger.warning(
            "the TigerBeetle client is %s, this project is tested with %s: see %s",
            release,
            PINNED_RELEASE,
            VERSIONS_PAGE,
        )


@dataclass
class Call:
    """One packet, with everything that the library may read or write until it is answered."""

    packet: Any
    payload: Any
    answered: threading.Event = field(default_factory=threading.Event)
    status: int = -1
    data: bytes = b""
    ledger_time_ns: int = 0


# Calls that the library holds, by the packet's user_data. A call that timed out stays here, alive,
# until the library releases it: it is answered late, or by CLIENT_SHUTDOWN at the latest.
_CALLS: Final[dict[int, Call]] = {}
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


class Session:
    """One client of the library. Its owner never uses it again once a call has not ended well."""

    def __init__(self, library: Library, cluster_id: int, addresses: str) -> None:
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

    def ask(self, operation: int, payload: bytes, *, wait_s: float) -> Call | None:
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
        call = _CALLS[number] = Call(packet=packet, payload=words)
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
