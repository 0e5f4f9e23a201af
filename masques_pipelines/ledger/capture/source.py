"""Reads a capture, a folder that holds what a ledger once returned, and answers from it by pages.

A folder holds `change_events.bin`, `accounts.bin`, and for self-checks `transfers.bin`, each plain
or as `.bin.zst`, and `meta.json` with at least `cluster` and `release`. A file that has grown since
is read further at the next opening.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import numpy as np

from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    TIMESTAMP_MAX,
    TRANSFER_DTYPE,
    Records,
    TimestampsNs,
    check_accounts,
    check_change_events,
    check_transfers,
    records_of,
    timestamps_ns,
)
from masques_pipelines.ledger.source import (
    CHANGE_EVENTS_PER_PAGE_MAX,
    RECORDS_PER_PAGE_MAX,
    LedgerRefusedError,
    Page,
    check_range,
    parse_cluster_id,
)
from masques_pipelines.zstd import ZstdError, ZstdFile

CHANGE_EVENTS_NAME: Final = "change_events.bin"
ACCOUNTS_NAME: Final = "accounts.bin"
TRANSFERS_NAME: Final = "transfers.bin"
META_NAME: Final = "meta.json"


@dataclass(frozen=True)
class AccountsReading:
    """The next `count` accounts, in order, were read in one reply at that ledger time."""

    count: int
    ledger_time_ns: int


@dataclass(frozen=True)
class Capture:
    """A whole capture in memory, checked.

    Attributes:
        folder: Where it was read from.
        meta: meta.json as it stands.
        cluster_id: The cluster it was taken from.
        release: The release of the client that took it.
        change_events: All events, ascending by time.
        accounts: All accounts, ascending by creation.
        transfers: All transfers, ascending by time; None when the capture has no such file.
        accounts_read_at: The replies that the accounts came in; one when meta.json does not say.
        ledger_time_ns: Time up to which the events are whole: that of the last record, or a later
            one that meta.json knows (`ledger_time_ns`); 0 for nothing at all.
    """

    folder: Path
    meta: dict[str, Any]
    cluster_id: int
    release: str
    change_events: Records
    accounts: Records
    transfers: Records | None
    accounts_read_at: tuple[AccountsReading, ...]
    ledger_time_ns: int


class CaptureSource:
    """A ledger source that answers from a capture, page by page like a server.

    Args:
        folder: The capture.
        change_events_per_page: Most change events in a page.
        records_per_page: Most accounts or transfers in a page.

    Raises:
        LedgerRefusedError: The folder is not a capture; the text names the file and what to do.
        PageError: A file does not hold whole records in ascending order.
        ValueError: A page size is below 1.
    """

    def __init__(
        self,
        folder: Path,
        *,
        change_events_per_page: int = CHANGE_EVENTS_PER_PAGE_MAX,
        records_per_page: int = RECORDS_PER_PAGE_MAX,
    ) -> None:
        if min(change_events_per_page, records_per_page) < 1:
            raise ValueError("a page size is not 1 or more")
        capture = read_capture(folder)
        self._capture = capture
        self._change_events_per_page = change_events_per_page
        self._records_per_page = records_per_page
        self._closed = False
        self._event_times = np.ascontiguousarray(timestamps_ns(capture.change_events))
        self._account_times = np.ascontiguousarray(timestamps_ns(capture.accounts))
        self._readings_end = np.cumsum([reading.count for reading in capture.accounts_read_at])

    @property
    def cluster_id(self) -> int:
        """The cluster that the capture was taken from."""
        return self._capture.cluster_id

    @property
    def release(self) -> str:
        """The release of the client that the capture was taken with."""
        return self._capture.release

    @property
    def description(self) -> str:
        """The folder as a URL."""
        return f"capture://{quote(str(self._capture.folder))}"

    @property
    def has_quick_transfers(self) -> bool:
        """Never: its files are in memory, and its transfers may have been read at another time."""
        return False

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        """Returns change events of that closed range, oldest first (see LedgerSource)."""
        self._check_open()
        check_range(timestamp_min, timestamp_max, limit)
        most = min(limit or self._change_events_per_page, self._change_events_per_page)
        start = _index(self._event_times, timestamp_min)
        end = _index(self._event_times, timestamp_max + 1) if timestamp_max else None
        events = self._capture.change_events[start:end][:most]
        return Page(data=events.tobytes(), ledger_time_ns=self._capture.ledger_time_ns)

    def accounts(self, timestamp_min: int) -> Page:
        """Returns accounts created at that time or later, oldest first (see LedgerSource).

        A page ends where the reply that the capture was made from ended, so that all of it shows
        the state at the page's time.
        """
        self._check_open()
        check_range(timestamp_min)
        start = _index(self._account_times, timestamp_min)
        reading = int(np.searchsorted(self._readings_end, start, side="right"))
        if reading == len(self._readings_end):  # past the last account
            return Page(data=b"", ledger_time_ns=self._capture.ledger_time_ns)
        end = min(start + self._records_per_page, int(self._readings_end[reading]))
        accounts = self._capture.accounts[start:end]
        time_ns = self._capture.accounts_read_at[reading].ledger_time_ns
        return Page(data=accounts.tobytes(), ledger_time_ns=time_ns)

    def transfers(self, timestamp_min: int) -> Page:
        """Returns transfers of that time or later, oldest first (see LedgerSource)."""
        self._check_open()
        check_range(timestamp_min)
        transfers = self._capture.transfers
        if transfers is None:
            raise LedgerRefusedError(
                f"{self._capture.folder / TRANSFERS_NAME}.zst: there is no such file, and this "
                "reading needs it: take the capture again, with transfers"
            )
        start = _index(timestamps_ns(transfers), timestamp_min)
        page = transfers[start : start + self._records_per_page]
        return Page(data=page.tobytes(), ledger_time_ns=self._capture.ledger_time_ns)

    def close(self) -> None:
        """Refuses further calls; closing again does nothing."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self.description} is closed")


def _index(times: TimestampsNs, time_ns: int) -> int:
    """Returns how many of the ascending times are before this one."""
    return int(np.searchsorted(times, np.uint64(time_ns), side="left"))


def read_capture(folder: Path) -> Capture:
    """Reads and checks a whole capture, decompressed, into memory.

    Raises:
        LedgerRefusedError: The folder is not a capture; the text names the file and what to do.
        PageError: A file does not hold whole records in ascending order.
    """
    if not folder.is_dir():
        raise LedgerRefusedError(
            f"{folder}: there is no such folder: give the folder of a capture (it holds "
            f"{CHANGE_EVENTS_NAME}.zst and {META_NAME})"
        )
    meta = _read_meta(folder / META_NAME)
    events = _records(folder, CHANGE_EVENTS_NAME, CHANGE_EVENT_DTYPE, check_change_events)
    accounts = _records(folder, ACCOUNTS_NAME, ACCOUNT_DTYPE, check_accounts)
    has_transfers = bool(_forms_present(folder, TRANSFERS_NAME))
    last_times_ns = [
        int(records["timestamp"][-1]) for records in (events, accounts) if len(records)
    ]
    ledger_time_ns = max(_meta_time_ns(folder, meta, "ledger_time_ns"), *last_times_ns, 0)
    return Capture(
        folder=folder,
        meta=meta,
        cluster_id=_cluster_id(folder, meta),
        release=_release(folder, meta),
        change_events=events,
        accounts=accounts,
        transfers=_records(folder, TRANSFERS_NAME, TRANSFER_DTYPE, check_transfers)
        if has_transfers
        else None,
        accounts_read_at=_accounts_read_at(folder, meta, len(accounts), ledger_time_ns),
        ledger_time_ns=ledger_time_ns,
    )


def _records(folder: Path, name: str, dtype: np.dtype[Any], check: Callable[..., None]) -> Records:
    forms = _forms_present(folder, name)
    if len(forms) > 1:
        raise LedgerRefusedError(
            f"{forms[0]}: {forms[1].name} is there too, and only one of them can be right: "
            "remove the other one"
        )
    if not forms:
        raise LedgerRefusedError(
            f"{folder / name}.zst: there is no such file (nor {name}): "
            "take the capture again, or give another folder"
        )
    (path,) = forms
    data = _decompressed(path) if path.suffix == ".zst" else _plain(path)
    records = records_of(data, dtype, origin=str(path))
    check(records, timestamp_min=0, origin=str(path))
    return records


def _forms_present(folder: Path, name: str) -> list[Path]:
    forms = (folder / name, folder / f"{name}.zst")
    return [path for path in forms if path.exists()]


def _plain(path: Path) -> bytes:
    """Reads the file as long as it is now: a capture that is still being taken grows on."""
    try:
        with path.open("rb") as file:
            return file.read(path.stat().st_size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _decompressed(path: Path) -> bytes:
    """Decompresses all frames of the file."""
    try:
        with ZstdFile(path) as file:
            return file.read()
    except ZstdError as error:
        raise LedgerRefusedError(
            f"{path}: not a valid zstd file ({error}): copy it or take the capture again"
        ) from error
    except EOFError as error:
        raise LedgerRefusedError(
            f"{path}: the zstd file is cut off: copy it or take the capture again"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> LedgerRefusedError:
    return LedgerRefusedError(
        f"{path}: it cannot be read ({error.strerror}): let this user read it"
    )


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LedgerRefusedError(
            f"{path}: there is no such file: it names the cluster that the capture is of; "
            "take the capture again, or give another folder"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise LedgerRefusedError(
            f"{path}: not valid JSON ({error}): fix it, or take the capture again"
        ) from error
    if not isinstance(meta, dict):
        raise LedgerRefusedError(f"{path}: not a JSON object: take the capture again")
    return meta


def _cluster_id(folder: Path, meta: dict[str, Any]) -> int:
    """Reads `cluster`, a decimal string, since a u128 is more than JSON numbers hold elsewhere."""
    try:
        return parse_cluster_id(str(meta.get("cluster", "")))
    except ValueError as error:
        raise LedgerRefusedError(
            f"{folder / META_NAME}: 'cluster': {error}: write the id of the cluster that "
            "the capture is of, as a string of digits"
        ) from error


def _release(folder: Path, meta: dict[str, Any]) -> str:
    release = meta.get("release")
    if not isinstance(release, str) or not release:
        raise LedgerRefusedError(
            f"{folder / META_NAME}: 'release' is missing: write the release of the "
            "TigerBeetle client that took the capture, such as '0.17.9'"
        )
    return release


def _meta_time_ns(folder: Path, meta: dict[str, Any], key: str) -> int:
    """Reads a time, a decimal string; one that is missing is 0."""
    text = str(meta.get(key, 0))
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > TIMESTAMP_MAX:
        raise LedgerRefusedError(
            f"{folder / META_NAME}: {key!r} is {text[:60]!r}, not nanoseconds since 1970: "
            "take the capture again"
        )
    return int(text)


def _accounts_read_at(
    folder: Path, meta: dict[str, Any], accounts: int, ledger_time_ns: int
) -> tuple[AccountsReading, ...]:
    """Reads `accounts_read_at`; captures without it were read whole when the ledger was quiet."""
    listed = meta.get("accounts_read_at")
    if listed is None:
        return (AccountsReading(accounts, ledger_time_ns),) if accounts else ()
    try:
        readings = _readings(listed)
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerRefusedError(
            f"{folder / META_NAME}: 'accounts_read_at' is not a list of accounts and "
            f"ledger_time_ns ({type(error).__name__}: {error}): take the capture again"
        ) from error
    counted = sum(reading.count for reading in readings)
    if counted != accounts:
        raise LedgerRefusedError(
            f"{folder / META_NAME}: 'accounts_read_at' counts {counted} accounts, the capture has "
            f"{accounts}: its files are of two captures; take it again"
        )
    return readings


def _readings(listed: Sequence[dict[str, Any]]) -> tuple[AccountsReading, ...]:
    readings = tuple(
        AccountsReading(int(entry["accounts"]), int(entry["ledger_time_ns"])) for entry in listed
    )
    for reading in readings:
        if reading.count < 1 or not 0 < reading.ledger_time_ns <= TIMESTAMP_MAX:
            raise ValueError(f"{reading} is out of range")
    return readings
