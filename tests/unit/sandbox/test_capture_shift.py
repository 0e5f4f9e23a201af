"""Re-dating moves every time of a capture by the same difference, and nothing else."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masques_pipelines.ledger.capture.source import CaptureSource, read_capture
from masques_pipelines.ledger.capture.writer import CaptureFolderError, put_in_place
from masques_pipelines.ledger.records import Records
from masques_pipelines.ledger.source import LedgerRefusedError, Page
from masques_pipelines.sandbox.capture_shift import shift_capture
from tests.support.captures import (
    accounts_at,
    events_at,
    folded,
    transfers_at,
    write_folder,
)
from tests.support.patience import moment_s

EVENT_TIMES = (
    "timestamp",
    "transfer_timestamp",
    "debit_account_timestamp",
    "credit_account_timestamp",
)
LAST_EVENT_NS = 1795410242894526220


def _times_moved(records: Records, names: tuple[str, ...], difference_ns: int) -> Records:
    moved = records.copy()
    for name in names:
        moved[name] = [time + difference_ns if time else 0 for time in records[name].tolist()]
    return moved


@pytest.mark.parametrize("difference_ns", [86_400 * 10**9, -(10**15), 1, 0])
def test_all_times_move_and_nothing_else(
    small_capture: Path, tmp_path: Path, difference_ns: int
) -> None:
    target = tmp_path / "parent" / "moved"

    made = shift_capture(small_capture, target, last_timestamp_ns=LAST_EVENT_NS + difference_ns)

    before, after = read_capture(small_capture), read_capture(target)
    assert made
    assert before.transfers is not None
    assert after.transfers is not None
    assert int(after.change_events["timestamp"][-1]) == LAST_EVENT_NS + difference_ns
    expected_events = _times_moved(before.change_events, EVENT_TIMES, difference_ns)
    assert after.change_events.tobytes() == expected_events.tobytes()
    expected_accounts = _times_moved(before.accounts, ("timestamp",), difference_ns)
    assert after.accounts.tobytes() == expected_accounts.tobytes()
    expected_transfers = _times_moved(before.transfers, ("timestamp",), difference_ns)
    assert after.transfers.tobytes() == expected_transfers.tobytes()
    assert folded(after.change_events) == folded(before.change_events)
    assert sorted(path.name for path in target.iterdir()) == [
        "accounts.bin.zst",
        "change_events.bin.zst",
        "meta.json",
        "transfers.bin.zst",
    ]
    assert [path.name for path in target.parent.iterdir()] == ["moved"]


def test_a_time_of_zero_stays_zero(tmp_path: Path) -> None:
    # The account times of these events are 0: they stand for no account.
    source = write_folder(tmp_path / "c", events=events_at(10, 20), accounts=accounts_at(5))

    shift_capture(source, tmp_path / "moved", last_timestamp_ns=1020)

    moved = read_capture(tmp_path / "moved")
    assert moved.change_events.tobytes() == events_at(1010, 1020).tobytes()
    assert moved.accounts["timestamp"].tolist() == [1005]
    assert moved.transfers is None


def test_meta_tells_the_new_times_and_only_what_is_still_true(
    small_capture: Path, tmp_path: Path
) -> None:
    shift_capture(small_capture, tmp_path / "moved", last_timestamp_ns=LAST_EVENT_NS + 1000)

    before = json.loads((small_capture / "meta.json").read_text(encoding="utf-8"))
    after = json.loads((tmp_path / "moved" / "meta.json").read_text(encoding="utf-8"))
    for dropped in ("live_polls", "sha256"):  # they tell of the bytes and polls of the original
        del before[dropped]
    assert after == {
        **before,
        "first_timestamp": "1795410239745986592",
        "last_timestamp": "1795410242894527220",
        "shifted_by_ns": "1000",
    }


def test_the_times_of_the_replies_move_with_the_accounts(tmp_path: Path) -> None:
    meta: dict[str, Any] = {
        "accounts_read_at": [
            {"accounts": 1, "ledger_time_ns": "100"},
            {"accounts": 1, "ledger_time_ns": "110"},
        ],
        "ledger_time_ns": "110",
    }
    source = write_folder(
        tmp_path / "c",
        events=events_at(90, 105),
        accounts=accounts_at(5, 6),
        transfers=transfers_at(90, 105),
        meta=meta,
    )

    shift_capture(source, tmp_path / "moved", last_timestamp_ns=1105)

    with CaptureSource(tmp_path / "moved") as moved:
        assert moved.accounts(0).ledger_time_ns == 1100
        assert moved.accounts(1006).ledger_time_ns == 1110
        assert moved.change_events(2000) == Page(b"", 1110)


def test_a_target_that_is_there_is_kept(small_capture: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()

    assert not shift_capture(small_capture, tmp_path / "moved", last_timestamp_ns=LAST_EVENT_NS)

    assert list((tmp_path / "moved").iterdir()) == []


def test_the_first_of_two_at_once_wins_and_the_other_leaves_nothing(
    small_capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_wrote = threading.Barrier(2, timeout=moment_s())

    def put_in_place_together(part: Path, folder: Path) -> bool:
        both_wrote.wait()
        return put_in_place(part, folder)

    monkeypatch.setattr(
        "masques_pipelines.sandbox.capture_shift.put_in_place", put_in_place_together
    )
    made: dict[int, bool] = {}

    def shift(last_timestamp_ns: int) -> None:
        made[last_timestamp_ns] = shift_capture(
            small_capture, tmp_path / "moved", last_timestamp_ns=last_timestamp_ns
        )

    times = (LAST_EVENT_NS + 10**9, LAST_EVENT_NS + 2 * 10**9)
    threads = [threading.Thread(target=shift, args=(time_ns,)) for time_ns in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made.values()) == [False, True]
    (winner,) = (time_ns for time_ns, was_made in made.items() if was_made)
    assert int(read_capture(tmp_path / "moved").change_events["timestamp"][-1]) == winner
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


@pytest.mark.parametrize(
    "last_timestamp_ns",
    [
        15,  # the first event, 10 before the last, would be at 5: fine; the account would be at 0
        2**63,  # past the last time there is
        -1,
    ],
)
def test_a_move_out_of_time_is_refused(tmp_path: Path, last_timestamp_ns: int) -> None:
    source = write_folder(tmp_path / "c", events=events_at(10, 20), accounts=accounts_at(5))

    with pytest.raises(ValueError, match="is out of range"):
        shift_capture(source, tmp_path / "moved", last_timestamp_ns=last_timestamp_ns)

    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_the_edges_of_time_can_be_reached(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "c", events=events_at(10, 20), accounts=accounts_at(5))

    shift_capture(source, tmp_path / "first", last_timestamp_ns=16)
    shift_capture(source, tmp_path / "last", last_timestamp_ns=2**63 - 1)

    assert read_capture(tmp_path / "first").accounts["timestamp"].tolist() == [1]
    times = read_capture(tmp_path / "last").change_events["timestamp"]
    assert times.tolist() == [2**63 - 11, 2**63 - 1]
    assert times.dtype == np.uint64


def test_a_capture_without_events_has_nothing_to_date(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "c", events=events_at(), accounts=accounts_at(5))

    with pytest.raises(LedgerRefusedError, match="it holds no change event"):
        shift_capture(source, tmp_path / "moved", last_timestamp_ns=5)


def test_a_target_that_cannot_be_written_is_named(small_capture: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(CaptureFolderError, match="file/moved: a capture cannot be written there"):
        shift_capture(small_capture, tmp_path / "file" / "moved", last_timestamp_ns=LAST_EVENT_NS)
