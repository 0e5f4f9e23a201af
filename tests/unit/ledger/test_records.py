"""The layouts and the self-check of a page, against a written table and a real server's bytes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masques_pipelines.ledger.records import (
    ACCOUNT_DTYPE,
    CHANGE_EVENT_DTYPE,
    EVENT_DTYPE,
    TRANSFER_DTYPE,
    PageError,
    Records,
    check_accounts,
    check_change_events,
    check_transfers,
    records_of,
    timestamps_ns,
    u128,
)
from tests.support.captures import (
    accounts_at,
    balances_of,
    events_at,
    folded,
    made,
    plain_bytes,
    transfers_at,
    without_unused,
)


def _offsets(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(offset) for name, offset in zip(words[::2], words[1::2], strict=True)}


# The offsets of TigerBeetle 0.17.9's src/tigerbeetle.zig and src/state_machine.zig, written down
# a second time: whoever moves a field has to move it twice.
ACCOUNT_OFFSETS = _offsets("""
    id 0  debits_pending 16  debits_posted 32  credits_pending 48  credits_posted 64
    user_data_128 80  user_data_64 96  user_data_32 104  reserved 108
    ledger 112  code 116  flags 118  timestamp 120
""")
TRANSFER_OFFSETS = _offsets("""
    id 0  debit_account_id 16  credit_account_id 32  amount 48  pending_id 64
    user_data_128 80  user_data_64 96  user_data_32 104  timeout 108
    ledger 112  code 116  flags 118  timestamp 120
""")
EVENT_OFFSETS = _offsets("""
    transfer_id 0  transfer_amount 16  transfer_pending_id 32  transfer_user_data_128 48
    transfer_user_data_64 64  transfer_user_data_32 72  transfer_timeout 76
    transfer_code 80  transfer_flags 82  ledger 84  type 88  reserved 89
    debit_account_id 128  debit_account_debits_pending 144  debit_account_debits_posted 160
    debit_account_credits_pending 176  debit_account_credits_posted 192
    debit_account_user_data_128 208  debit_account_user_data_64 224
    debit_account_user_data_32 232  debit_account_code 236  debit_account_flags 238
    credit_account_id 240  credit_account_debits_pending 256  credit_account_debits_posted 272
    credit_account_credits_pending 288  credit_account_credits_posted 304
    credit_account_user_data_128 320  credit_account_user_data_64 336
    credit_account_user_data_32 344  credit_account_code 348  credit_account_flags 350
    timestamp 352  transfer_timestamp 360
    debit_account_timestamp 368  credit_account_timestamp 376
""")

# What is kept of an event: the form that every seal vouches for, so it can never change.
KEPT_OFFSETS = _offsets("""
    timestamp 0  transfer_timestamp 8  transfer_id 16  debit_account_id 32  credit_account_id 48
    transfer_amount 64  transfer_pending_id 80  transfer_user_data_128 96
    transfer_user_data_64 112  transfer_user_data_32 120  transfer_timeout 124
    ledger 128  transfer_code 132  transfer_flags 134  type 136
""")


@pytest.mark.parametrize(
    ("dtype", "offsets", "size"),
    [
        (ACCOUNT_DTYPE, ACCOUNT_OFFSETS, 128),
        (TRANSFER_DTYPE, TRANSFER_OFFSETS, 128),
        (CHANGE_EVENT_DTYPE, EVENT_OFFSETS, 384),
        (EVENT_DTYPE, KEPT_OFFSETS, 137),
    ],
    ids=["account", "transfer", "change event", "kept of an event"],
)
def test_every_field_is_where_tigerbeetle_puts_it(
    dtype: np.dtype[Any], offsets: dict[str, int], size: int
) -> None:
    assert {name: dtype.fields[name][1] for name in dtype.names or ()} == offsets  # type: ignore[index]
    assert dtype.itemsize == size


def test_folding_a_real_ledgers_events_gives_the_balances_that_the_server_said(
    small_capture: Path,
) -> None:
    events = records_of(
        plain_bytes(small_capture / "change_events.bin.zst"), CHANGE_EVENT_DTYPE, origin="events"
    )
    accounts = records_of(
        plain_bytes(small_capture / "accounts.bin.zst"), ACCOUNT_DTYPE, origin="accounts"
    )
    expected = json.loads((small_capture / "expected.json").read_text(encoding="utf-8"))
    names = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
    said_by_server = {
        int(account_id): tuple(int(account[name]) for name in names)
        for account_id, account in expected["accounts"].items()
    }

    assert len(events) == 2120
    assert balances_of(accounts) == said_by_server
    assert folded(events) == without_unused(balances_of(accounts))


def test_records_are_a_view_and_not_a_copy() -> None:
    data = events_at(5, 6).tobytes()

    records = records_of(data, CHANGE_EVENT_DTYPE, origin="page")

    assert np.shares_memory(records, np.frombuffer(data, dtype=np.uint8))
    assert timestamps_ns(records).tolist() == [5, 6]
    assert timestamps_ns(records).dtype == np.uint64


@pytest.mark.parametrize("over", [1, 128, 383])
def test_a_page_that_ends_within_a_record_is_refused(over: int) -> None:
    data = events_at(5).tobytes() + bytes(over)

    with pytest.raises(PageError) as raised:
        records_of(data, CHANGE_EVENT_DTYPE, origin="the page")

    assert str(raised.value) == (
        f"the page: {384 + over} bytes are not whole records of 384 bytes ({over} bytes over): "
        "the data is cut off or of another kind"
    )


def test_an_empty_page_passes_every_check() -> None:
    check_change_events(events_at(), timestamp_min=9, origin="page")
    check_accounts(accounts_at(), timestamp_min=9, origin="page")
    check_transfers(transfers_at(), timestamp_min=9, origin="page")


def test_a_page_from_the_asked_time_on_passes_every_check() -> None:
    # The first record is exactly at the asked time, the last at the last time there is.
    check_change_events(events_at(9, 10, 2**63 - 1), timestamp_min=9, origin="page")
    check_accounts(accounts_at(9, 10, 2**63 - 1), timestamp_min=9, origin="page")
    check_transfers(transfers_at(9, 10, 2**63 - 1), timestamp_min=9, origin="page")


def _with_reserved_byte(events: Records, row: int) -> Records:
    raw = bytearray(events.tobytes())
    raw[row * 384 + 127] = 1  # the last of the 39 reserved bytes
    return records_of(bytes(raw), CHANGE_EVENT_DTYPE, origin="page")


@pytest.mark.parametrize(
    ("events", "text"),
    [
        # A server that ignores the filter would send the ledger again from its start.
        (events_at(8, 10), "page: record 0 has time 8, asked was 9 or later"),
        # Two events of one time: the time is the key, one of them would vanish.
        (events_at(9, 10, 10), "page: record 2 has time 10, not later than 10 before it"),
        (events_at(11, 10), "page: record 1 has time 10, not later than 11 before it"),
        # TigerBeetle's tombstone bit: no such time exists.
        (events_at(9, 2**63), f"page: record 1 has time {2**63}, past 2^63 - 1"),
        (
            made(CHANGE_EVENT_DTYPE, [{"timestamp": 9, "type": 4}, {"timestamp": 10, "type": 5}]),
            (
                "page: record 1 has event type 5, known are 0 to 4: "
                "the ledger is of a release that this project does not know"
            ),
        ),
        (
            _with_reserved_byte(events_at(9, 10, 11), 1),
            (
                "page: record 1 has reserved bytes that are not zero: "
                "the ledger is of a release that this project does not know"
            ),
        ),
    ],
    ids=["early", "equal", "falling", "past the last time", "unknown type", "reserved"],
)
def test_a_page_that_breaks_a_promise_is_refused(events: Records, text: str) -> None:
    with pytest.raises(PageError) as raised:
        check_change_events(events, timestamp_min=9, origin="page")

    assert str(raised.value) == text


def test_an_account_with_reserved_bytes_is_refused() -> None:
    accounts = made(ACCOUNT_DTYPE, [{"timestamp": 1}, {"timestamp": 2, "reserved": 1}])

    with pytest.raises(PageError, match="account record 1 has reserved bytes that are not zero"):
        check_accounts(accounts, timestamp_min=0, origin="page")


def test_transfers_that_fall_back_are_refused() -> None:
    with pytest.raises(PageError, match="record 1 has time 1, not later than 2 before it"):
        check_transfers(transfers_at(2, 1), timestamp_min=0, origin="page")


def test_a_u128_is_its_low_half_and_then_its_high_half() -> None:
    # Nothing, the low half full, the high half's lowest bit, and everything.
    values = [0, 2**64 - 1, 2**64, 2**128 - 1]

    assert u128(made(ACCOUNT_DTYPE, [{"id": value} for value in values]), "id") == values
    assert made(ACCOUNT_DTYPE, [{"id": 2**64}]).tobytes()[:16] == (2**64).to_bytes(16, "little")
