"""What of a landing zone is listed and read, and whose fault it is when that fails."""

import errno
import os
import time
from pathlib import Path

import pytest

from masques_pipelines.landing.chunks import FileProblemError
from masques_pipelines.landing.listing import ADVICE, HIDDEN, by_reason, list_folder, list_strays
from masques_pipelines.landing.zone import (
    FOLDERS,
    Landing,
    LandingFile,
    LandingMissingError,
    LandingUnavailableError,
    content_sha256,
    open_landing,
    read_lines,
)
from masques_pipelines.settings import read_settings
from tests.support.gate_files import FORMATS
from tests.support.gate_rows import request
from tests.support.odd_entries import FAULTS, SECRET, FaultyStore, drop_odd

FOLDER = "api_requests"


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    (tmp_path / "landing" / FOLDER).mkdir(parents=True)
    return open_landing(read_settings({"MASQUES_LANDING_URL": str(tmp_path / "landing")}))


def folder_of(landing: Landing) -> Path:
    return Path(landing.root) / FOLDER


def read(landing: Landing, file: LandingFile) -> bytes:
    return b"\n".join(chunk.data for chunk in read_lines(landing, file))


def test_each_odd_entry_is_passed_over_by_its_reason(landing: Landing) -> None:
    folder = folder_of(landing)
    wanted = drop_odd(folder)
    (folder / "a.ndjson").write_bytes(b"{}")
    (folder / "b.ndjson").symlink_to("a.ndjson")  # a link within the zone is a file
    (folder / "c.ndjson.tmp").write_bytes(b"{")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "d.csv").write_bytes(b"a\n1\n")
    (folder / "_staging").mkdir()
    (folder / "_staging" / "e.ndjson").write_bytes(b"{}")
    for name, seconds in {"future.ndjson": 3600, "died.ndjson.part": -90_000}.items():
        (folder / name).write_bytes(b"{}")
        moment_s = time.time() + seconds
        os.utime(folder / name, (moment_s, moment_s))
    wanted |= {"future.ndjson": "future_time", "died.ndjson.part": "unfinished"}
    wanted |= {"_staging/": HIDDEN}
    listing = list_folder(landing, FOLDER, settle_s=-1)
    found = {entry.path.removeprefix(f"{FOLDER}/"): entry.reason for entry in listing.passed_over}
    assert found == wanted
    assert [file.path for file in listing.files] == [
        f"{FOLDER}/{name}" for name in ("a.ndjson", "b.ndjson", "deep/er/d.csv")
    ]
    assert listing.waiting == 1
    assert read(landing, listing.files[1]) == b"{}"
    assert {entry.reason for entry in listing.passed_over} <= ADVICE.keys()
    assert sum(count for _, count, _ in by_reason(listing.passed_over)) == len(wanted)


def test_a_name_that_is_not_text_is_shown_and_never_opened(landing: Landing) -> None:
    name = os.fsdecode(b"\xff\xfe day.ndjson")
    (folder_of(landing) / name).write_bytes(b"{}")
    (folder_of(landing) / "x\n'%20\x1b.ndjson").write_bytes(b"{}")
    (folder_of(landing) / f"{'n' * 248}.ndjson").write_bytes(b"{}")
    bad, *others = sorted(
        list_folder(landing, FOLDER, settle_s=-1).files, key=lambda file: not file.problem
    )
    assert bad.path == f"{FOLDER}/\\udcff\\udcfe day.ndjson"
    with pytest.raises(FileProblemError, match="not valid UTF-8") as raised:
        read(landing, bad)
    assert raised.value.reason == "bad_name"
    assert [read(landing, file) for file in others] == [b"{}", b"{}"]


def test_what_is_in_no_readers_folder_is_named(landing: Landing) -> None:
    root = Path(landing.root)
    for path in ("api_request/a.ndjson", "API_Requests/deep/b.csv", "stray.ndjson", ".git/config"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"{}")
    (root / "gate" / FOLDER).mkdir(parents=True)
    (root / "gate" / FOLDER / "c.ndjson").write_bytes(b"{}")
    (root / "gate" / "d.ndjson").write_bytes(b"{}")
    (root / "out").symlink_to("/etc")
    strays = list_strays(landing, [*FOLDERS, f"gate/{FOLDER}"])
    assert {entry.path: entry.reason for entry in strays} == {
        ".git": "hidden",
        "API_Requests/deep/b.csv": "unknown_folder",
        "api_request/a.ndjson": "unknown_folder",
        "gate/d.ndjson": "unknown_folder",
        "out": "unknown_folder",
        "stray.ndjson": "unknown_folder",
    }
    assert {each.path for each in list_strays(landing, FOLDERS)} >= {f"gate/{FOLDER}/c.ndjson"}


def test_a_readers_folder_that_is_a_link_is_not_followed(landing: Landing, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.ndjson").write_bytes(b"{}")
    (Path(landing.root) / "identities").symlink_to(tmp_path / "secret")
    listing = list_folder(landing, "identities", settle_s=-1)
    assert (listing.files, [each.reason for each in listing.passed_over]) == (
        [],
        ["leaves_the_zone"],
    )


def test_what_becomes_a_link_after_the_listing_is_not_followed(
    landing: Landing, tmp_path: Path
) -> None:
    folder = folder_of(landing)
    (tmp_path / "secret.ndjson").write_bytes(b'"hunter2"')
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.ndjson").write_bytes(b'"hunter2"')
    (folder / "deep").mkdir()
    for name in ("a.ndjson", "deep/b.ndjson", "pipe.ndjson"):
        (folder / name).write_bytes(b"{}")
    file, deep, pipe = list_folder(landing, FOLDER, settle_s=-1).files
    (folder / "a.ndjson").unlink()
    (folder / "a.ndjson").symlink_to(tmp_path / "secret.ndjson")
    (folder / "deep").rename(folder / "deeper")
    (folder / "deep").symlink_to(tmp_path / "outside")
    (folder / "pipe.ndjson").unlink()
    os.mkfifo(folder / "pipe.ndjson")
    for each in (file, deep, pipe):
        with pytest.raises(FileProblemError) as raised:
            read(landing, each)
        assert raised.value.reason == "leaves_the_zone"


def test_a_file_rewritten_with_its_size_and_time_has_another_version(landing: Landing) -> None:
    path = folder_of(landing) / "a.ndjson"
    path.write_bytes(b"1")
    before = list_folder(landing, FOLDER, settle_s=-1).files[0]
    details = path.stat()
    time.sleep(0.02)  # the clock of a file system is coarse
    path.write_bytes(b"2")
    os.utime(path, ns=(details.st_atime_ns, details.st_mtime_ns))
    after = list_folder(landing, FOLDER, settle_s=-1).files[0]
    assert (before.bytes, before.written_s) == (after.bytes, after.written_s)
    assert before.version != after.version


@pytest.mark.parametrize("name", [name for name in FORMATS if "/" not in name])
def test_whatever_a_store_raises_is_the_files_problem(name: str) -> None:
    store = FaultyStore()
    landing = store.put_files({f"{FOLDER}/{name}": FORMATS[name]([request(n) for n in range(9)])})
    (file,) = list_folder(landing, FOLDER, settle_s=-1).files
    for error in FAULTS:
        for when in ("open", "read"):
            store.fails = {name: (error, when)}
            is_gone = isinstance(error, FileNotFoundError)
            for reading in (lambda: read(landing, file), lambda: content_sha256(landing, file)):
                with pytest.raises(FileProblemError) as raised:
                    reading()
                assert raised.value.reason == ("vanished" if is_gone else "cannot_be_read")
                assert SECRET not in str(raised.value)
    # The store itself is gone: nothing is the file's fault.
    store.listing = OSError(errno.ECONNREFUSED, "Connection refused")
    with pytest.raises(LandingUnavailableError, match="cannot be listed"):
        read(landing, file)
    store.listing = None
    store.fails = {name: (OSError(errno.ENOSPC, "No space left on device"), "read")}
    with pytest.raises(LandingUnavailableError, match="no fault of the file"):
        read(landing, file)


def test_only_a_listing_that_fails_is_unavailable_and_a_missing_zone_is_said(
    tmp_path: Path,
) -> None:
    for error in FAULTS:
        store = FaultyStore()
        landing = store.put_files({f"{FOLDER}/a.ndjson": b"{}"})
        store.listing = error
        wanted = (
            LandingMissingError if isinstance(error, FileNotFoundError) else LandingUnavailableError
        )
        for listing in (
            lambda zone: list_folder(zone, FOLDER),
            lambda zone: list_strays(zone, FOLDERS),
        ):
            with pytest.raises(wanted) as raised:
                listing(landing)
            assert SECRET not in str(raised.value)
    (tmp_path / "file").write_bytes(b"")
    for missing in ("nowhere", "file"):
        zone = open_landing(read_settings({"MASQUES_LANDING_URL": str(tmp_path / missing)}))
        with pytest.raises(LandingMissingError, match=f"{missing}: there is no landing zone"):
            list_folder(zone, FOLDER)


def test_a_folder_that_cannot_be_listed_hides_no_other() -> None:
    store = FaultyStore()
    landing = store.put_files({f"{FOLDER}/{name}/a.ndjson": b"{}" for name in ("a", "b", "c")})
    store.listing_of = lambda path: RuntimeError(path) if path.endswith("/b") else None
    listing = list_folder(landing, FOLDER, settle_s=-1)
    assert [file.path for file in listing.files] == [f"{FOLDER}/{n}/a.ndjson" for n in "ac"]
    assert [entry.reason for entry in listing.passed_over] == ["cannot_be_listed"]
