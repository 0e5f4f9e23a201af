"""A capture is written whole or not at all, and agrees with itself while the ledger goes on."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.capture.writer import (
    CaptureFolderError,
    CaptureSummary,
    CaptureTornError,
    put_in_place,
    write_capture,
)
from masques_pipelines.ledger.records import Records
from masques_pipelines.ledger.source import LedgerRefusedError, LedgerUnavailableError, Page
from tests.support.captures import (
    accounts_at,
    events_at,
    plain_bytes,
    transfers_at,
    write_folder,
)

FILES = ("accounts.bin.zst", "change_events.bin.zst", "transfers.bin.zst")
LAST_EVENT_NS = 1795410242894526220


class GrowingLedger(CaptureSource):
    """A ledger to which something is written between any two calls; its clock ticks by 10."""

    def __init__(self, folder: Path, *, accounts: Records, now_ns: int, per_page: int) -> None:
        super().__init__(folder)
        self._grown_accounts = accounts
        self._now_ns = now_ns
        self._per_page = per_page

    def accounts(self, timestamp_min: int) -> Page:
        now_ns = self._tick()
        times = self._grown_accounts["timestamp"]
        there = self._grown_accounts[(times >= timestamp_min) & (times <= now_ns)]
        return Page(there[: self._per_page].tobytes(), now_ns)

    def change_events(
        self, timestamp_min: int, timestamp_max: int = 0, limit: int | None = None
    ) -> Page:
        return Page(super().change_events(timestamp_min, timestamp_max, limit).data, self._tick())

    def _tick(self) -> int:
        self._now_ns += 10
        return self._now_ns


class BrokenLedger(CaptureSource):
    """A ledger that is gone when its transfers are asked for."""

    def transfers(self, timestamp_min: int) -> Page:
        raise LedgerUnavailableError(f"gone at {timestamp_min}")


def test_a_capture_of_a_capture_is_the_same_ledger(
    small_capture: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "masques_pipelines.ledger")
    target = tmp_path / "parent" / "copy"

    with CaptureSource(small_capture, change_events_per_page=1016, records_per_page=50) as source:
        summary = write_capture(source, target, taken_at=datetime(2026, 11, 23, 7, 0, tzinfo=UTC))

    assert summary == CaptureSummary(
        folder=target,
        accounts=122,
        change_events=2120,
        transfers=2053,
        ledger_time_ns=LAST_EVENT_NS,
        is_exact=True,
    )
    for name in FILES:
        assert plain_bytes(target / name) == plain_bytes(small_capture / name)
    assert caplog.messages[:6] == [
        *("accounts: 50", "accounts: 100", "accounts: 122"),
        *("change_events: 1,016", "change_events: 2,032", "change_events: 2,120"),
    ]
    assert caplog.messages[-1] == "transfers: 2,053"
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        *FILES[:2],
        "copy",
        "meta.json",
        "parent",
        "transfers.bin.zst",
    ]


def test_meta_says_what_the_capture_holds(small_capture: Path, tmp_path: Path) -> None:
    with CaptureSource(small_capture) as source:
        write_capture(source, tmp_path / "copy")

    meta = json.loads((tmp_path / "copy" / "meta.json").read_text(encoding="utf-8"))
    by_server = json.loads((small_capture / "meta.json").read_text(encoding="utf-8"))
    counts = ("n_accounts", "n_change_events", "n_transfers", "first_timestamp", "last_timestamp")
    details = ("events_by_type", "events_by_code", "events_by_ledger", "accounts_by_code")
    assert meta == {
        "cluster": "1",
        "release": "0.17.9",
        "taken_at": "2026-11-23T05:04:02+00:00",  # no time was given: the ledger's
        **{name: by_server[name] for name in (*counts, *details)},
        "ledger_time_ns": str(LAST_EVENT_NS),
        "accounts_read_at": [{"accounts": 122, "ledger_time_ns": str(LAST_EVENT_NS)}],
        "accounts_by_ledger": {"1": 40, "2": 40, "3": 42},
    }


def test_what_comes_after_the_accounts_were_read_stays_out(tmp_path: Path) -> None:
    times = (100, 105, 110, 111, 140)
    folder = write_folder(
        tmp_path / "ledger",
        # 110 is the very moment at which the accounts were read; 111 is one tick after it.
        events=events_at(*times),
        accounts=accounts_at(1),
        transfers=transfers_at(*times),
    )
    # Account 115 is made between the first reply (at 110) and the second (at 120).
    ledger = GrowingLedger(folder, accounts=accounts_at(50, 60, 115), now_ns=100, per_page=8189)

    summary = write_capture(ledger, tmp_path / "copy")

    assert summary == CaptureSummary(
        folder=tmp_path / "copy",
        accounts=2,
        change_events=3,
        transfers=3,
        ledger_time_ns=110,
        is_exact=True,
    )
    with CaptureSource(tmp_path / "copy") as copy:
        assert copy.accounts(0) == Page(accounts_at(50, 60).tobytes(), 110)
        assert copy.change_events(0) == Page(events_at(100, 105, 110).tobytes(), 110)
        assert copy.transfers(0) == Page(transfers_at(100, 105, 110).tobytes(), 110)


def test_accounts_of_several_replies_keep_the_time_of_each(tmp_path: Path) -> None:
    times = (100, 115, 125, 135, 145)
    folder = write_folder(
        tmp_path / "ledger",
        events=events_at(*times),
        accounts=accounts_at(1),
        transfers=transfers_at(*times),
    )
    # Two a page: 50 and 60 at 110, 70 and 115 at 120. Then 125, at 130, is younger than 120.
    accounts = accounts_at(50, 60, 70, 115, 125)
    ledger = GrowingLedger(folder, accounts=accounts, now_ns=100, per_page=2)

    summary = write_capture(ledger, tmp_path / "copy")

    assert (summary.accounts, summary.ledger_time_ns, summary.is_exact) == (4, 120, False)
    with CaptureSource(tmp_path / "copy") as copy:
        assert copy.accounts(0) == Page(accounts_at(50, 60).tobytes(), 110)
        assert copy.accounts(61) == Page(accounts_at(70, 115).tobytes(), 120)
        assert copy.change_events(0) == Page(events_at(100, 115).tobytes(), 120)


def test_an_empty_ledger_gives_an_empty_capture(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "ledger", events=events_at(), accounts=accounts_at(), transfers=transfers_at()
    )

    summary = write_capture(CaptureSource(folder), tmp_path / "copy")

    assert summary == CaptureSummary(tmp_path / "copy", 0, 0, 0, 0, is_exact=True)
    with CaptureSource(tmp_path / "copy") as copy:
        assert copy.change_events(0) == Page(b"", 0)


@pytest.mark.parametrize(
    "transfers",
    [
        transfers_at(10, 11, 12),  # one more
        transfers_at(10, 13),  # as many, but another
    ],
    ids=["more", "other"],
)
def test_transfers_imported_behind_the_reader_are_noticed(
    tmp_path: Path, transfers: Records
) -> None:
    folder = write_folder(
        tmp_path / "ledger",
        events=events_at(10, 12, 20),
        accounts=accounts_at(1),
        transfers=transfers,
    )
    # The third event is an expiry: no transfer is its own.
    path = folder / "change_events.bin.zst"
    events = events_at(10, 12, 20)
    events["type"][2] = 4
    write_folder(tmp_path / "expired", events=events, accounts=accounts_at(1), transfers=transfers)
    path.write_bytes((tmp_path / "expired" / path.name).read_bytes())

    with pytest.raises(CaptureTornError, match="but 2 events of transfers: some were imported"):
        write_capture(CaptureSource(folder), tmp_path / "copy")

    assert not (tmp_path / "copy").exists()


def test_a_capture_that_fails_leaves_nothing(small_capture: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailableError):
        write_capture(BrokenLedger(small_capture), tmp_path / "copy")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_refused_untouched(small_capture: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep", encoding="utf-8")

    with pytest.raises(CaptureFolderError) as raised:
        write_capture(CaptureSource(small_capture), tmp_path / "mine")

    assert str(raised.value) == (
        f"{tmp_path}/mine: it exists: give a new folder, or remove this one"
    )
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "keep"


def test_what_a_killed_capture_left_is_refused_and_kept(
    small_capture: Path, tmp_path: Path
) -> None:
    # The process ends, as by kill -9, when all but meta.json is written.
    code = (
        "import logging, os, sys; from pathlib import Path;"
        "from masques_pipelines.ledger.capture.writer import write_capture;"
        "from masques_pipelines.ledger.capture.source import CaptureSource;"
        "writer = logging.getLogger('masques_pipelines.ledger.capture.writer');"
        "writer.setLevel('INFO');"
        "writer.addFilter(lambda line: 'transfers' not in line.msg or os._exit(9));"
        "write_capture(CaptureSource(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, small_capture, tmp_path / "copy"], check=False
    )
    assert killed.returncode == 9

    with pytest.raises(LedgerRefusedError, match=r"copy: there is no such folder"):
        CaptureSource(tmp_path / "copy")
    with pytest.raises(LedgerRefusedError, match=r"copy\.part/meta\.json: there is no such file"):
        CaptureSource(tmp_path / "copy.part")
    with pytest.raises(CaptureFolderError, match=r"copy\.part: a capture is being written there"):
        write_capture(CaptureSource(small_capture), tmp_path / "copy")

    assert [path.name for path in tmp_path.iterdir()] == ["copy.part"]


def test_a_place_that_cannot_be_written_is_named(small_capture: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(CaptureFolderError, match=r"file/copy\.part: a capture cannot be written"):
        write_capture(CaptureSource(small_capture), tmp_path / "file" / "copy")


def test_a_name_that_was_taken_meanwhile_is_left_to_its_owner(tmp_path: Path) -> None:
    for name in ("part", "taken"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "owner").write_text(name, encoding="utf-8")

    assert not put_in_place(tmp_path / "part", tmp_path / "taken")
    assert (tmp_path / "taken" / "owner").read_text(encoding="utf-8") == "taken"
    assert put_in_place(tmp_path / "part", tmp_path / "free")
    assert (tmp_path / "free" / "owner").read_text(encoding="utf-8") == "part"
