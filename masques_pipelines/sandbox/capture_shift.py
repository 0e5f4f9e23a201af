"""Re-dates a capture: writes the same ledger, moved in time as a whole, into a new folder.

One constant is added to every time. Fixed dates would fall outside retention and score windows. Ids
stay (those that TigerBeetle's own clients make hold their time, which nothing here reads).

A folder that is there is left as it is. Each run writes into a `.part` folder of its own, so two at
once do not disturb each other, and a kill leaves no half capture behind the name.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from masques_pipelines.ledger.capture.source import (
    ACCOUNTS_NAME,
    CHANGE_EVENTS_NAME,
    META_NAME,
    TRANSFERS_NAME,
    Capture,
    read_capture,
)
from masques_pipelines.ledger.capture.writer import (
    CaptureFolderError,
    compressed_file,
    put_in_place,
    removed_on_failure,
    write_json,
)
from masques_pipelines.ledger.records import TIMESTAMP_MAX, Records
from masques_pipelines.ledger.source import LedgerRefusedError

_EVENT_TIMES: Final = (
    "timestamp",
    "transfer_timestamp",
    "debit_account_timestamp",
    "credit_account_timestamp",
)
_RECORDS_PER_CHUNK: Final = 8192

# What meta.json may hold that is no longer true of the copy, and that the copy can do without.
_META_DROPPED: Final = ("live_polls", "sha256", "taken_at")


def shift_capture(source_folder: Path, target_folder: Path, *, last_timestamp_ns: int) -> bool:
    """Writes a copy of a capture whose last event is at the given time.

    Every time of every record moves by the same difference; a time of 0 stays 0.

    Args:
        source_folder: The capture, which is left as it is.
        target_folder: Made by this call, with its parents.
        last_timestamp_ns: The new time of the last event, nanoseconds since 1970.

    Returns:
        Whether this call made the folder; False if it was there, or another made it meanwhile.

    Raises:
        ValueError: A time of the copy would not be one from 1 to 2^63 - 1.
        LedgerRefusedError, PageError: The source is not a capture, or has no event to move.
        CaptureFolderError: The target cannot be written.
    """
    if target_folder.exists():
        return False
    capture = read_capture(source_folder)
    difference_ns = last_timestamp_ns - _last_event_ns(capture)
    _check_times(capture, difference_ns)
    try:
        target_folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(
            tempfile.mkdtemp(
                dir=target_folder.parent, prefix=f"{target_folder.name}.", suffix=".part"
            )
        )
        with removed_on_failure(part):
            _write(capture, part, difference_ns)
            part.chmod(0o755)  # mkdtemp makes it private
            is_ours = put_in_place(part, target_folder)
            if not is_ours:
                shutil.rmtree(part)
            return is_ours
    except OSError as error:
        raise CaptureFolderError(
            f"{target_folder}: a capture cannot be written there ({error.strerror or error}): "
            "make room, or give a folder that this user may write"
        ) from error


def _last_event_ns(capture: Capture) -> int:
    if len(capture.change_events) == 0:
        raise LedgerRefusedError(
            f"{capture.folder}: it holds no change event, so there is none to put at a new time: "
            "give a capture with events"
        )
    return int(capture.change_events["timestamp"][-1])


def _check_times(capture: Capture, difference_ns: int) -> None:
    """Raises ValueError unless the capture's oldest and newest times stay times."""
    columns = [capture.change_events[name] for name in _EVENT_TIMES]
    columns.append(capture.accounts["timestamp"])
    if capture.transfers is not None:
        columns.append(capture.transfers["timestamp"])
    oldest_ns = min(int(column[column > 0].min()) for column in columns if column.any())
    newest_ns = max(
        capture.ledger_time_ns, *(int(column.max()) for column in columns if len(column))
    )
    for time_ns in (oldest_ns + difference_ns, newest_ns + difference_ns):
        if not 1 <= time_ns <= TIMESTAMP_MAX:
            raise ValueError(f"{capture.folder}: timestamp {time_ns} is out of range")


def _write(capture: Capture, part: Path, difference_ns: int) -> None:
    _write_records(
        part / f"{CHANGE_EVENTS_NAME}.zst", capture.change_events, _EVENT_TIMES, difference_ns
    )
    _write_records(part / f"{ACCOUNTS_NAME}.zst", capture.accounts, ("timestamp",), difference_ns)
    if capture.transfers is not None:
        _write_records(
            part / f"{TRANSFERS_NAME}.zst", capture.transfers, ("timestamp",), difference_ns
        )
    write_json(part / META_NAME, _shifted_meta(capture, difference_ns))


def _write_records(
    path: Path, records: Records, time_fields: tuple[str, ...], difference_ns: int
) -> None:
    with compressed_file(path) as file:
        for start in range(0, len(records), _RECORDS_PER_CHUNK):
            chunk = records[start : start + _RECORDS_PER_CHUNK].copy()
            for name in time_fields:
                chunk[name] = _shifted(chunk[name], difference_ns)
            file.write(chunk.tobytes())


def _shifted(times_ns: Any, difference_ns: int) -> Any:
    """Adds the difference in UInt64, where going back in time is a carry that drops out."""
    moved = times_ns + np.uint64(difference_ns % 2**64)
    return np.where(times_ns == 0, np.uint64(0), moved)


def _shifted_meta(capture: Capture, difference_ns: int) -> dict[str, Any]:
    meta = {key: value for key, value in capture.meta.items() if key not in _META_DROPPED}
    times_ns = capture.change_events["timestamp"]
    meta["first_timestamp"] = str(int(times_ns[0]) + difference_ns)
    meta["last_timestamp"] = str(int(times_ns[-1]) + difference_ns)
    if "ledger_time_ns" in meta:
        meta["ledger_time_ns"] = str(int(meta["ledger_time_ns"]) + difference_ns)
    if "accounts_read_at" in meta:
        meta["accounts_read_at"] = [
            {
                "accounts": reading.count,
                "ledger_time_ns": str(reading.ledger_time_ns + difference_ns),
            }
            for reading in capture.accounts_read_at
        ]
    meta["shifted_by_ns"] = str(difference_ns)
    return meta
