"""Byte layouts of TigerBeetle's records, and the check that a page really holds them.

The fixed offsets of the 384-byte change event and the 128-byte account and transfer, as numpy types
over raw pages, and the 137 bytes that are kept of a change event.

Source of the layouts: TigerBeetle 0.17.9, `src/tigerbeetle.zig` and `src/state_machine.zig`,
tried on a real server. All integers are little-endian; a u128 is its low 64 bits, then its high.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from masques_pipelines.errors import PermanentError

ACCOUNT_SIZE_BYTES: Final = 128
TRANSFER_SIZE_BYTES: Final = 128
CHANGE_EVENT_SIZE_BYTES: Final = 384
EVENT_SIZE_BYTES: Final = 137

# Types of a change event: 0 single_phase, 1 pending, 2 posted, 3 voided, 4 expired.
EVENT_TYPE_PENDING: Final = 1
EVENT_TYPE_POSTED: Final = 2
EVENT_TYPE_VOIDED: Final = 3
EVENT_TYPE_EXPIRED: Final = 4
TRANSFER_FLAG_IMPORTED: Final = 256

# TigerBeetle reads a filter whose timestamp is 2^63 or more as invalid and answers with an empty
# page and status OK, which looks like "caught up". So it is refused here, before it is sent.
TIMESTAMP_MAX: Final = 2**63 - 1

Records = npt.NDArray[np.void]
TimestampsNs = npt.NDArray[np.uint64]

_U128: Final = np.dtype([("low", "<u8"), ("high", "<u8")])

ACCOUNT_DTYPE: Final = np.dtype(
    [
        ("id", _U128),
        ("debits_pending", _U128),
        ("debits_posted", _U128),
        ("credits_pending", _U128),
        ("credits_posted", _U128),
        ("user_data_128", _U128),
        ("user_data_64", "<u8"),
        ("user_data_32", "<u4"),
        ("reserved", "<u4"),
        ("ledger", "<u4"),
        ("code", "<u2"),
        ("flags", "<u2"),
        ("timestamp", "<u8"),
    ]
)

TRANSFER_DTYPE: Final = np.dtype(
    [
        ("id", _U128),
        ("debit_account_id", _U128),
        ("credit_account_id", _U128),
        ("amount", _U128),
        ("pending_id", _U128),
        ("user_data_128", _U128),
        ("user_data_64", "<u8"),
        ("user_data_32", "<u4"),
        ("timeout", "<u4"),
        ("ledger", "<u4"),
        ("code", "<u2"),
        ("flags", "<u2"),
        ("timestamp", "<u8"),
    ]
)

_ACCOUNT_SIDE_FIELDS: Final = (
    ("account_id", _U128),
    ("account_debits_pending", _U128),
    ("account_debits_posted", _U128),
    ("account_credits_pending", _U128),
    ("account_credits_posted", _U128),
    ("account_user_data_128", _U128),
    ("account_user_data_64", "<u8"),
    ("account_user_data_32", "<u4"),
    ("account_code", "<u2"),
    ("account_flags", "<u2"),
)

CHANGE_EVENT_DTYPE: Final = np.dtype(
    [
        ("transfer_id", _U128),
        ("transfer_amount", _U128),
        ("transfer_pending_id", _U128),
        ("transfer_user_data_128", _U128),
        ("transfer_user_data_64", "<u8"),
        ("transfer_user_data_32", "<u4"),
        ("transfer_timeout", "<u4"),
        ("transfer_code", "<u2"),
        ("transfer_flags", "<u2"),
        ("ledger", "<u4"),
        ("type", "u1"),
        ("reserved", "V39"),
        *((f"debit_{name}", kind) for name, kind in _ACCOUNT_SIDE_FIELDS),
        *((f"credit_{name}", kind) for name, kind in _ACCOUNT_SIDE_FIELDS),
        ("timestamp", "<u8"),
        ("transfer_timestamp", "<u8"),
        ("debit_account_timestamp", "<u8"),
        ("credit_account_timestamp", "<u8"),
    ]
)

# What masques.transactions keeps of a change event, in this order and without padding. These bytes
# are both what is sealed (seals.py; sql/ledger/proofs/seal_digests.sql puts them together again,
# so the order must never change) and what is inserted. The rest of an event is its accounts.
EVENT_DTYPE: Final = np.dtype(
    [
        ("timestamp", "<u8"),
        ("transfer_timestamp", "<u8"),
        ("transfer_id", _U128),
        ("debit_account_id", _U128),
        ("credit_account_id", _U128),
        ("transfer_amount", _U128),
        ("transfer_pending_id", _U128),
        ("transfer_user_data_128", _U128),
        ("transfer_user_data_64", "<u8"),
        ("transfer_user_data_32", "<u4"),
        ("transfer_timeout", "<u4"),
        ("ledger", "<u4"),
        ("transfer_code", "<u2"),
        ("transfer_flags", "<u2"),
        ("type", "u1"),
    ]
)

# Where a transfer holds what is kept of its event; the other names are the same in both.
_TRANSFER_FIELDS: Final = {
    "transfer_id": "id",
    "transfer_amount": "amount",
    "transfer_pending_id": "pending_id",
    "transfer_user_data_128": "user_data_128",
    "transfer_user_data_64": "user_data_64",
    "transfer_user_data_32": "user_data_32",
    "transfer_timeout": "timeout",
    "transfer_code": "code",
    "transfer_flags": "flags",
    "transfer_timestamp": "timestamp",
}
# Event type by the transfer's flags pending (2), post_pending (4), void_pending (8).
_TYPE_OF_FLAGS: Final = (
    (2, EVENT_TYPE_PENDING),
    (4, EVENT_TYPE_POSTED),
    (8, EVENT_TYPE_VOIDED),
)

_EXPECTED_SIZES: Final = (
    (ACCOUNT_DTYPE, ACCOUNT_SIZE_BYTES),
    (TRANSFER_DTYPE, TRANSFER_SIZE_BYTES),
    (CHANGE_EVENT_DTYPE, CHANGE_EVENT_SIZE_BYTES),
    (EVENT_DTYPE, EVENT_SIZE_BYTES),
)
for _dtype, _size in _EXPECTED_SIZES:
    if _dtype.itemsize != _size:
        raise AssertionError(f"record layout is {_dtype.itemsize} bytes, not {_size}")


class PageError(PermanentError):
    """A page does not hold what its layout says: nothing of it may be written."""


def records_of(data: bytes, dtype: np.dtype[Any], *, origin: str) -> Records:
    """Returns the records of a raw page, without copying.

    Args:
        data: Whole records, back to back.
        dtype: One of the layouts of this module.
        origin: What the page is, for the error text (a file, or an operation of a server).

    Raises:
        PageError: The length is not a multiple of the record's size.
    """
    remainder = len(data) % dtype.itemsize
    if remainder:
        raise PageError(
            f"{origin}: {len(data)} bytes are not whole records of {dtype.itemsize} bytes "
            f"({remainder} bytes over): the data is cut off or of another kind"
        )
    return np.frombuffer(data, dtype=dtype)


def kept_of(change_events: Records) -> Records:
    """Returns what is kept of each change event, as EVENT_DTYPE.

    For one page at a time: while its megabyte is in the processor's cache, this takes a fourth of
    what it takes for a batch of 24.
    """
    kept = np.empty(len(change_events), dtype=EVENT_DTYPE)
    for name in EVENT_DTYPE.names or ():
        kept[name] = change_events[name]
    return kept


def events_of_transfers(transfers: Records) -> Records:
    """Returns what is kept of the change event that each transfer made, as EVENT_DTYPE.

    A transfer makes one event, at its own time, that repeats its fields. (No transfer shows an
    expiry.)
    """
    events = np.zeros(len(transfers), dtype=EVENT_DTYPE)
    for name in EVENT_DTYPE.names or ():
        if name != "type":
            events[name] = transfers[_TRANSFER_FIELDS.get(name, name)]
    for flag, event_type in _TYPE_OF_FLAGS:
        events["type"][transfers["flags"] & flag != 0] = event_type
    return events


def joined(parts: Sequence[Records]) -> Records:
    """Returns the events (EVENT_DTYPE) of all parts, one after another.

    As bytes: field by field, as numpy joins records, it takes twelve times as long.
    """
    if not parts:
        return np.empty(0, EVENT_DTYPE)
    return np.concatenate([part.view(np.uint8) for part in parts]).view(EVENT_DTYPE)


def timestamps_ns(records: Records) -> TimestampsNs:
    """Returns each record's ledger time in nanoseconds since 1970, as UInt64."""
    return np.asarray(records["timestamp"], dtype=np.uint64)


def by_month(events: Records) -> Iterator[Records]:
    """Cuts ascending events at month edges (UTC), where the table's partitions end.

    One part is written whole or not at all; a block that spans two partitions is two parts, and a
    kill can leave the later one without the earlier.
    """
    if len(events) == 0:
        return
    times = timestamps_ns(events)
    first_month, last_month = _months(times[[0, -1]])
    if first_month == last_month:
        yield events
        return
    months = _months(times)
    edges = [0, *(np.flatnonzero(np.diff(months)) + 1).tolist(), len(events)]
    for start, end in itertools.pairwise(edges):
        yield events[start:end]


def _months(times_ns: TimestampsNs) -> npt.NDArray[np.int64]:
    """Returns each time's month, counted from January 1970."""
    seconds = (times_ns // np.uint64(10**9)).astype("datetime64[s]")
    return seconds.astype("datetime64[M]").astype(np.int64)


def check_change_events(events: Records, *, timestamp_min: int, origin: str) -> None:
    """Raises PageError unless the page is what get_change_events promises.

    The operation is in no client's public interface, so its layout may change between releases
    (research: reserved bytes, types above 4 and times out of order are how that would show).
    """
    _check_ascending(events, timestamp_min=timestamp_min, origin=origin)
    unknown_types = events["type"] > EVENT_TYPE_EXPIRED
    if unknown_types.any():
        row = int(np.argmax(unknown_types))
        raise PageError(
            f"{origin}: record {row} has event type {int(events['type'][row])}, known are 0 to 4: "
            "the ledger is of a release that this project does not know"
        )
    reserved = np.frombuffer(events["reserved"].tobytes(), dtype=np.uint8)
    if reserved.any():
        row = int(np.argmax(reserved != 0)) // events["reserved"].dtype.itemsize
        raise PageError(
            f"{origin}: record {row} has reserved bytes that are not zero: "
            "the ledger is of a release that this project does not know"
        )


def check_accounts(accounts: Records, *, timestamp_min: int, origin: str) -> None:
    """Raises PageError unless the accounts ascend by creation time and reserve nothing."""
    _check_ascending(accounts, timestamp_min=timestamp_min, origin=origin)
    if accounts["reserved"].any():
        row = int(np.argmax(accounts["reserved"] != 0))
        raise PageError(f"{origin}: account record {row} has reserved bytes that are not zero")


def check_transfers(transfers: Records, *, timestamp_min: int, origin: str) -> None:
    """Raises PageError unless the transfers ascend by time from timestamp_min on."""
    _check_ascending(transfers, timestamp_min=timestamp_min, origin=origin)


def transfers_of(events: Records) -> Records:
    """Returns the transfers that made change events; an expiry is made by none."""
    made = np.zeros(len(events), TRANSFER_DTYPE)
    for name in TRANSFER_DTYPE.names or ():
        is_same = name in (events.dtype.names or ())
        made[name] = events[name if is_same else f"transfer_{name}"]
    return made


def _check_ascending(records: Records, *, timestamp_min: int, origin: str) -> None:
    if len(records) == 0:
        return
    times = timestamps_ns(records)
    if int(times[0]) < timestamp_min:
        raise PageError(
            f"{origin}: record 0 has time {int(times[0])}, asked was {timestamp_min} or later"
        )
    if int(times.max()) > TIMESTAMP_MAX:
        row = int(np.argmax(times > TIMESTAMP_MAX))
        raise PageError(f"{origin}: record {row} has time {int(times[row])}, past 2^63 - 1")
    falls = times[1:] <= times[:-1]
    if falls.any():
        row = int(np.argmax(falls)) + 1
        raise PageError(
            f"{origin}: record {row} has time {int(times[row])}, not later than "
            f"{int(times[row - 1])} before it"
        )


def u128(records: Records, field: str) -> list[int]:
    """Returns a 128-bit field of all records as Python integers (for tests and small reads)."""
    column = records[field]
    return [
        int(low) | int(high) << 64
        for low, high in zip(column["low"].tolist(), column["high"].tolist(), strict=True)
    ]
