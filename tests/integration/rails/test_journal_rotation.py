"""Rotation of the journal's files: renamed, copied and truncated, compressed, damaged."""

import gzip
import json
import os
from pathlib import Path

import pytest

from masques_pipelines.landing.zone import Landing
from masques_pipelines.rails.ingest import RailRun, ingest, read_cursor
from masques_pipelines.rails.journal import files
from masques_pipelines.rails.journal.rail import DESCRIPTOR, JournalRail
from masques_pipelines.rails.protocol import AssetAllowList, Cursor, RailUnavailableError
from masques_pipelines.warehouse.client import Warehouse
from tests.integration.rails.conftest import landing_at
from tests.support.bolt11 import challenge

KNOWN = AssetAllowList({}, {"bip122:000000000019d6689c085ae165831e93": "lightning"})
AT_S = 1_795_168_800


def line(number: int) -> str:
    return json.dumps(challenge(f"{number:064x}", 1000, AT_S + number)) + "\n"


def lines(first: int, last: int) -> str:
    return "".join(line(number) for number in range(first, last + 1))


class Reader:
    """Fetches from a folder as runs do, each from the cursor that the one before left as JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "settlement_journal"
        self.folder.mkdir()
        self.cursor: Cursor | None = None
        self.seen: list[int] = []
        self.rejected: list[tuple[str, int, str]] = []
        self._rail = JournalRail(landing_at(folder), KNOWN)

    def read(self) -> list[int]:
        """One run; returns the payments that it announced."""
        found = []
        is_caught_up = False
        while not is_caught_up:
            fetched = self._rail.fetch(self.cursor)
            self.cursor = json.loads(json.dumps(fetched.cursor))
            is_caught_up = fetched.is_caught_up
            found += [int(each.payment_ref, 16) for each in fetched.observations]
            self.rejected += [(each.source, each.line_no, each.reason) for each in fetched.rejected]
        self.seen += found
        return found


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_a_renamed_file_is_read_on_and_its_name_is_another_file(reader: Reader) -> None:
    path = reader.folder / "gate.ndjson"
    path.write_text(lines(1, 4))
    assert reader.read() == [1, 2, 3, 4]
    with path.open("a") as file:
        file.write(lines(5, 6))  # nobody has read these before the rotation
    path.rename(reader.folder / "gate.ndjson.1")
    path.write_text(lines(7, 15))  # longer than what was read of the first
    assert sorted(reader.read()) == list(range(5, 16))
    (reader.folder / "gate.ndjson.1").rename(reader.folder / "gate.ndjson.2")
    path.rename(reader.folder / "gate.ndjson.1")
    path.write_text(lines(16, 17))
    assert reader.read() == [16, 17]
    assert reader.read() == []


def test_a_file_that_is_copied_and_truncated_loses_nothing(reader: Reader) -> None:
    path = reader.folder / "gate.ndjson"
    path.write_text(lines(1, 4))
    reader.read()
    with path.open("a") as file:
        file.write(lines(5, 6))
    (reader.folder / "gate.ndjson-20261120").write_bytes(path.read_bytes())
    path.write_text(lines(7, 20))  # truncated, and grown beyond the old position since
    reader.read()
    assert sorted(set(reader.seen)) == list(range(1, 21))
    assert reader.read() == []


@pytest.mark.parametrize("written", [lines(5, 6), lines(5, 8), lines(5, 9)])
def test_another_file_of_any_length_under_a_name_is_read_whole(
    reader: Reader, written: str
) -> None:
    path = reader.folder / "gate.ndjson"
    path.write_text(lines(1, 4))
    reader.read()
    path.write_text(written)
    assert len(reader.read()) == written.count("\n")


def test_files_that_begin_alike_are_told_apart_by_what_was_read_last(reader: Reader) -> None:
    path = reader.folder / "gate.ndjson"
    path.write_text(lines(1, 3))
    reader.read()
    path.write_text(line(1) + lines(11, 19))
    assert sorted(reader.read()) == [1, *range(11, 20)]


def test_a_compressed_file_continues_the_one_that_it_was(reader: Reader) -> None:
    path = reader.folder / "gate.ndjson"
    path.write_text(lines(1, 4))
    reader.read()
    with path.open("a") as file:
        file.write(lines(5, 6))
    (reader.folder / "gate.ndjson.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert reader.read() == [5, 6]
    assert reader.read() == []
    (reader.folder / "old.ndjson.gz").write_bytes(gzip.compress(lines(21, 23).encode()))
    assert reader.read() == [21, 22, 23]


def test_a_compressed_file_is_read_in_steps(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masques_pipelines.rails.journal.rail.BYTES_PER_FETCH", 2000)
    (reader.folder / "old.ndjson.gz").write_bytes(gzip.compress(lines(1, 20).encode()))
    assert reader.read() == list(range(1, 21))
    assert reader.read() == []


def test_a_cut_off_compressed_file_waits_and_is_rejected_once_when_it_stays_so(
    reader: Reader,
) -> None:
    path = reader.folder / "gate.ndjson.1.gz"
    whole = gzip.compress(lines(1, 30).encode())
    path.write_bytes(whole[: len(whole) // 2])
    (reader.folder / "gate.ndjson").write_text(line(40))
    assert 40 in reader.read()
    assert reader.rejected == []  # it may still be written
    reader.read()
    reader.read()
    assert reader.rejected == [("settlement_journal/gate.ndjson.1.gz", 0, "unreadable:file")]
    path.write_bytes(whole)
    reader.read()
    assert sorted(set(reader.seen)) == [*range(1, 31), 40]


def test_a_byte_order_mark_is_not_part_of_a_line(reader: Reader) -> None:
    (reader.folder / "gate.ndjson").write_bytes(b"\xef\xbb\xbf" + lines(1, 2).encode())
    assert reader.read() == [1, 2]
    assert reader.rejected == []


def test_a_file_that_cannot_be_read_keeps_no_other_waiting(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (reader.folder / f"{name}.ndjson").write_text(line(ord(name)))
    read = Landing.read

    def fails(landing: Landing, path: str, start: int, end: int) -> bytes:
        if path.endswith("b.ndjson"):
            raise RuntimeError("https://user:password@store")
        return read(landing, path, start, end)

    monkeypatch.setattr(Landing, "read", fails)
    assert reader.read() == [ord("a"), ord("c")]
    assert reader.read() == []
    name, number, reason = reader.rejected[-1]
    assert (name, number, reason) == ("settlement_journal/b.ndjson", 0, "cannot_be_read:file")
    assert len(reader.rejected) == 1
    monkeypatch.undo()
    assert reader.read() == [ord("b")]
    monkeypatch.setattr(Landing, "read", lambda zone, _path, *more: fails(zone, "b.ndjson", *more))
    for name in "abc":
        with (reader.folder / f"{name}.ndjson").open("a") as file:
            file.write(line(1))
    with pytest.raises(RailUnavailableError, match=r"it cannot be read now \(RuntimeError\)"):
        reader.read()


def test_what_is_not_read_is_reported_once(reader: Reader) -> None:
    for name in ("gate.ndjson.bz2", "gate.log", ".gate.ndjson", "gate.ndjson.part"):
        (reader.folder / name).write_text(line(1))
    (reader.folder / "2026").mkdir()
    (reader.folder / "2026" / "gate.ndjson").write_text(line(1))
    (reader.folder / "secret").symlink_to("/etc/passwd")
    (reader.folder / "loop.ndjson").symlink_to("loop.ndjson")
    os.mkfifo(reader.folder / "pipe.ndjson")
    with (reader.folder / os.fsdecode(b"\xff.ndjson")).open("w") as file:
        file.write(line(1))
    assert reader.read() == []
    assert reader.read() == []
    assert sorted(reader.rejected) == [
        ("settlement_journal/2026/gate.ndjson", 0, "unknown_folder:file"),
        ("settlement_journal/\\udcff.ndjson", 0, "bad_name:file"),
        ("settlement_journal/gate.log", 0, "unknown_ending:file"),
        ("settlement_journal/gate.ndjson.bz2", 0, "unknown_ending:file"),
        ("settlement_journal/loop.ndjson", 0, "dangling_link:file"),
        ("settlement_journal/pipe.ndjson", 0, "not_a_file:file"),
        ("settlement_journal/secret", 0, "leaves_the_zone:file"),
    ]


def test_a_cursor_of_the_first_version_is_continued(reader: Reader) -> None:
    path = reader.folder / "gate.ndjson"
    path.write_text(lines(1, 4))
    size = len(lines(1, 2))
    reader.cursor = {"v": 1, "files": {"gate.ndjson": [size, 2, size]}}
    assert reader.read() == [3, 4]
    path.rename(reader.folder / "gate.ndjson.1")
    path.write_text(lines(5, 9))
    assert reader.read() == [5, 6, 7, 8, 9]


def test_a_rewound_journal_is_read_again_and_changes_nothing(
    warehouse: Warehouse, reader: Reader
) -> None:
    (reader.folder / "gate.ndjson").write_text(lines(1, 4) + "{\n")

    def poll() -> RailRun:
        return ingest(warehouse, JournalRail(landing_at(reader.folder.parent), KNOWN))

    assert poll().revisions == 4
    cursor = read_cursor(warehouse, "journal", "")
    assert cursor is not None
    assert DESCRIPTOR.rewind is not None
    rewound = DESCRIPTOR.rewind(cursor, 0)
    warehouse.command("TRUNCATE TABLE masques_ops.rail_cursors")
    assert rewound["files"] == {}
    again = poll()
    assert (again.observations, again.revisions, again.rejected) == (4, 0, 1)
    assert warehouse.scalar("SELECT count() FROM masques_ops.quarantine FINAL") == 1
    assert warehouse.scalar("SELECT count() FROM masques_ops.journal_events FINAL") == 4


def test_sources_have_one_name_through_a_rotation() -> None:
    head = files.head_of(lines(1, 9).encode())
    names = ("gate.ndjson", "gate.ndjson.1", "gate.ndjson-20261120", "gate.ndjson.2.gz")
    assert {files.source_of("x", name, head) for name in names} == {f"x/gate.ndjson@{head[1][:8]}"}
    # The fingerprint does not change while the file grows.
    assert files.head_of(line(1).encode()) == head
