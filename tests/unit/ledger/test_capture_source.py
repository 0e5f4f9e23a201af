"""A capture answers like the ledger that it was taken from, at every page size."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masques_pipelines.ledger.capture.source import CaptureSource
from masques_pipelines.ledger.records import ACCOUNT_DTYPE, CHANGE_EVENT_DTYPE, PageError
from masques_pipelines.ledger.source import LedgerRefusedError, Page
from masques_pipelines.zstd import compress
from tests.support.captures import (
    accounts_at,
    events_at,
    plain_bytes,
    transfers_at,
    write_folder,
)

# Times as a ledger gives them: consecutive in a batch, with gaps between.
TIMES = (10, 11, 12, 20, 2**63 - 1)
LAST_EVENT_NS = 1795410242894526220


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(
        tmp_path / "capture",
        events=events_at(*TIMES),
        accounts=accounts_at(1, 2, 3),
        transfers=transfers_at(10, 11, 12),
    )


def _all(read: Callable[[int], Page], size: int, time_offset: int) -> list[bytes]:
    """Reads page by page to the empty one, from the last record's time on."""
    pages, timestamp_min = [], 0
    while page := read(timestamp_min).data:
        pages.append(page)
        last = page[len(page) - size :]
        timestamp_min = int.from_bytes(last[time_offset : time_offset + 8], "little") + 1
    return pages


@pytest.mark.parametrize("per_page", [1, 7, 1016, 2730, 8189])
def test_pages_of_every_size_are_the_files_bytes(small_capture: Path, per_page: int) -> None:
    with CaptureSource(
        small_capture, change_events_per_page=per_page, records_per_page=per_page
    ) as source:
        events = _all(source.change_events, 384, 352)
        accounts = _all(source.accounts, 128, 120)
        transfers = _all(source.transfers, 128, 120)

    assert b"".join(events) == plain_bytes(small_capture / "change_events.bin.zst")
    assert b"".join(accounts) == plain_bytes(small_capture / "accounts.bin.zst")
    assert b"".join(transfers) == plain_bytes(small_capture / "transfers.bin.zst")
    assert max(len(page) for page in events) == 384 * min(per_page, 2120)
    assert max(len(page) for page in transfers) == 128 * min(per_page, 2053)


def test_the_capture_says_which_ledger_it_is_of(small_capture: Path) -> None:
    with CaptureSource(small_capture) as source:
        assert source.cluster_id == 1
        assert source.release == "0.17.9"
        assert source.description == f"capture://{small_capture}"
        # Everything shows the ledger as of its last event.
        assert source.change_events(0).ledger_time_ns == LAST_EVENT_NS
        assert source.accounts(0).ledger_time_ns == LAST_EVENT_NS
        assert source.transfers(0).ledger_time_ns == LAST_EVENT_NS
        assert source.change_events(LAST_EVENT_NS + 1) == Page(b"", LAST_EVENT_NS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    timestamp_min=st.integers(0, 25) | st.sampled_from((2**63 - 2, 2**63 - 1)),
    timestamp_max=st.integers(0, 25) | st.sampled_from((2**63 - 2, 2**63 - 1)),
    limit=st.none() | st.integers(1, 6),
)
def test_a_range_is_closed_and_ascending(
    folder: Path, timestamp_min: int, timestamp_max: int, limit: int | None
) -> None:
    source = CaptureSource(folder)
    if timestamp_max and timestamp_min > timestamp_max:
        with pytest.raises(ValueError, match="timestamp_min"):
            source.change_events(timestamp_min, timestamp_max, limit)
        return

    page = source.change_events(timestamp_min, timestamp_max, limit)

    wanted = [t for t in TIMES if timestamp_min <= t <= (timestamp_max or 2**63)][:limit]
    assert page.data == events_at(*wanted).tobytes()


@pytest.mark.parametrize(
    "arguments",
    [(-1,), (2**63,), (0, 2**63), (0, -1), (6, 5), (0, 0, 0), (0, 0, -1)],
    ids=str,
)
def test_a_range_that_a_ledger_would_answer_with_nothing_is_refused(
    folder: Path, arguments: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"timestamp_|limit"):
        CaptureSource(folder).change_events(*arguments)


def test_plain_files_are_read_and_seen_to_grow_at_the_next_opening(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "c", events=events_at(10), accounts=accounts_at(1))
    for name in ("change_events.bin", "accounts.bin"):
        (folder / name).write_bytes(plain_bytes(folder / f"{name}.zst"))
        (folder / f"{name}.zst").unlink()

    source = CaptureSource(folder)
    with (folder / "change_events.bin").open("ab") as file:
        file.write(events_at(11).tobytes())

    assert source.change_events(0) == Page(events_at(10).tobytes(), 10)
    assert CaptureSource(folder).change_events(0) == Page(events_at(10, 11).tobytes(), 11)


def test_a_file_of_several_zstd_frames_is_read_whole(folder: Path) -> None:
    # What appending compressed pages to a file gives; the second frame is empty.
    frames = [compress(events_at(10).tobytes()), compress(b""), compress(events_at(11).tobytes())]
    (folder / "change_events.bin.zst").write_bytes(b"".join(frames))

    assert CaptureSource(folder).change_events(0).data == events_at(10, 11).tobytes()


def test_an_empty_ledger_has_no_time(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "c", events=events_at(), accounts=accounts_at())

    source = CaptureSource(folder)

    assert source.change_events(0) == Page(b"", 0)
    assert source.accounts(0) == Page(b"", 0)


def test_a_quiet_ledgers_time_is_the_one_it_was_read_at(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "c",
        events=events_at(10),
        accounts=accounts_at(1),
        meta={"ledger_time_ns": "500"},
    )

    assert CaptureSource(folder).change_events(11) == Page(b"", 500)


def test_an_account_younger_than_the_last_event_moves_the_time(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "c", events=events_at(10), accounts=accounts_at(1, 30))

    assert CaptureSource(folder).accounts(0) == Page(accounts_at(1, 30).tobytes(), 30)


def test_accounts_come_with_the_time_of_the_reply_that_held_them(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "c",
        events=events_at(10),
        accounts=accounts_at(1, 2, 3, 4, 5),
        meta={
            "accounts_read_at": [
                {"accounts": 3, "ledger_time_ns": "100"},
                {"accounts": 2, "ledger_time_ns": "200"},
            ],
            "ledger_time_ns": "200",
        },
    )
    source = CaptureSource(folder, records_per_page=2)

    # Cut at the page size, and at the end of the reply although the page has room.
    assert source.accounts(0) == Page(accounts_at(1, 2).tobytes(), 100)
    assert source.accounts(3) == Page(accounts_at(3).tobytes(), 100)
    assert source.accounts(4) == Page(accounts_at(4, 5).tobytes(), 200)
    assert source.accounts(6) == Page(b"", 200)


def test_a_closed_capture_answers_nothing(folder: Path) -> None:
    with CaptureSource(folder) as source:
        pass
    source.close()

    with pytest.raises(RuntimeError, match="is closed"):
        source.change_events(0)


def test_a_capture_without_transfers_says_so_when_asked_for_them(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "c", events=events_at(10), accounts=accounts_at(1))

    with pytest.raises(LedgerRefusedError) as raised:
        CaptureSource(folder).transfers(0)

    assert str(raised.value) == (
        f"{folder}/transfers.bin.zst: there is no such file, and this reading needs it: "
        "take the capture again, with transfers"
    )


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 0xFF
    path.write_bytes(bytes(data))


def _rewrite_meta(path: Path, **changes: object) -> None:
    meta = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(meta), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda f: f.rename(f.with_name("gone")), "{f}: there is no such folder"),
        (
            lambda f: (f / "accounts.bin.zst").unlink(),
            "{f}/accounts.bin.zst: there is no such file (nor accounts.bin)",
        ),
        (
            lambda f: (f / "change_events.bin").write_bytes(b""),
            "{f}/change_events.bin: change_events.bin.zst is there too",
        ),
        (lambda f: _cut(f / "transfers.bin.zst"), "{f}/transfers.bin.zst: the zstd file is cut"),
        (
            lambda f: (f / "accounts.bin.zst").write_bytes(b""),
            "{f}/accounts.bin.zst: the zstd file is cut off",
        ),
        (lambda f: _flip(f / "accounts.bin.zst"), "{f}/accounts.bin.zst: not a valid zstd file"),
        (lambda f: (f / "meta.json").unlink(), "{f}/meta.json: there is no such file"),
        (lambda f: (f / "meta.json").write_text("{"), "{f}/meta.json: not valid JSON (Expecting"),
        (lambda f: (f / "meta.json").write_bytes(b"\xff"), "{f}/meta.json: not valid JSON ("),
        (lambda f: (f / "meta.json").write_text("[]"), "{f}/meta.json: not a JSON object"),
        (
            lambda f: _rewrite_meta(f / "meta.json", cluster=None),
            "{f}/meta.json: 'cluster': 'None' is not a valid cluster id",
        ),
        (
            # One more than a u128 holds.
            lambda f: _rewrite_meta(f / "meta.json", cluster=str(2**128)),
            f"{{f}}/meta.json: 'cluster': '{2**128}' is not a valid cluster id",
        ),
        (
            lambda f: _rewrite_meta(f / "meta.json", release=""),
            "{f}/meta.json: 'release' is missing",
        ),
        (
            lambda f: _rewrite_meta(f / "meta.json", ledger_time_ns="soon"),
            "{f}/meta.json: 'ledger_time_ns' is 'soon', not nanoseconds",
        ),
        (
            lambda f: _rewrite_meta(f / "meta.json", accounts_read_at=[{"accounts": 3}]),
            "{f}/meta.json: 'accounts_read_at' is not a list of accounts and ledger_time_ns",
        ),
        (
            # The accounts of another moment: no proof could hold.
            lambda f: _rewrite_meta(
                f / "meta.json", accounts_read_at=[{"accounts": 2, "ledger_time_ns": "9"}]
            ),
            "{f}/meta.json: 'accounts_read_at' counts 2 accounts, the capture has 3",
        ),
    ],
)
def test_a_folder_that_is_no_whole_capture_is_refused_by_name(
    folder: Path, spoil: Callable[[Path], object], text: str
) -> None:
    spoil(folder)

    with pytest.raises(LedgerRefusedError, match=re.escape(text.format(f=folder))) as raised:
        CaptureSource(folder)

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (bytes(385), "385 bytes are not whole records of 384 bytes"),
        # Two pages appended in the wrong order.
        (events_at(20, 10).tobytes(), "record 1 has time 10, not later than 20 before it"),
    ],
)
def test_a_file_of_other_bytes_is_refused(folder: Path, data: bytes, text: str) -> None:
    path = folder / "change_events.bin.zst"
    path.write_bytes(compress(data))

    with pytest.raises(PageError, match=text) as raised:
        CaptureSource(folder)

    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("sizes", [{"change_events_per_page": 0}, {"records_per_page": -1}])
def test_a_page_of_nothing_is_no_page(folder: Path, sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="page size"):
        CaptureSource(folder, **sizes)


def test_the_helper_dtypes_are_the_files(small_capture: Path) -> None:
    # Guards the tests above: a page helper with other sizes would compare nothing.
    assert len(plain_bytes(small_capture / "change_events.bin.zst")) == (
        2120 * CHANGE_EVENT_DTYPE.itemsize
    )
    assert len(plain_bytes(small_capture / "accounts.bin.zst")) == 122 * ACCOUNT_DTYPE.itemsize
