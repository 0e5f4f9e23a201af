"""Cutting and column-wise writing, without an engine."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from masques_pipelines.errors import SettingError
from masques_pipelines.landing import formats as reading
from masques_pipelines.landing.arrow_json import json_lines
from masques_pipelines.landing.chunks import FileProblemError
from masques_pipelines.landing.compression import decompressed
from masques_pipelines.landing.csv_chunks import csv_chunks
from masques_pipelines.landing.fields import ANY_FIELDS
from masques_pipelines.landing.listing import Listing, list_folder
from masques_pipelines.landing.zone import open_landing, read_lines
from masques_pipelines.read_ahead import read_ahead
from masques_pipelines.settings import read_settings
from masques_pipelines.zstd import compress as zstd_compress


@given(st.binary(max_size=300).map(lambda raw: raw.replace(b"\xef", b"\n")), st.integers(1, 50))
def test_lines_keep_their_bytes_and_numbers_however_they_are_cut(data: bytes, block: int) -> None:
    blocks = [data[start : start + block] for start in range(0, len(data), block)]
    lines = [
        (chunk.first_line + n, line)
        for chunk in reading.ndjson_chunks(blocks)
        for n, line in enumerate(chunk.data.split(b"\n"))
    ]
    wanted = data.removesuffix(b"\n").split(b"\n") if data else []
    assert lines == list(enumerate(wanted, start=1))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.ndjson", ("ndjson", "")),
        ("x/A.JSONL.GZ", ("jsonl", "gz")),
        ("a.b.csv.zst", ("csv", "zst")),
        ("a.parquet", ("parquet", "")),
        ("a.txt", None),
        ("ndjson", None),
        ("a.gz", None),
        (".ndjson.tmp", None),
    ],
)
def test_a_name_says_the_format(name: str, found: tuple[str, str] | None) -> None:
    assert reading.format_of(name) == found


def test_members_and_frames_that_follow_one_another_are_one_stream() -> None:
    parts = [b"first\n", b"", b"second\n" * 1000]
    for ending, pack in (("gz", gzip.compress), ("zst", zstd_compress)):
        packed = b"".join(pack(part) for part in parts)
        for block in (1, 7, len(packed)):
            blocks = [packed[n : n + block] for n in range(0, len(packed), block)]
            assert b"".join(decompressed(blocks, ending)) == b"".join(parts)
        made: list[bytes] = []
        with pytest.raises(FileProblemError, match="cut short"):
            made.extend(decompressed([packed[:-1]], ending))
        assert b"".join(parts).startswith(b"".join(made))
        with pytest.raises(FileProblemError, match="damaged"):
            list(decompressed([packed, b"and then this"], ending))


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("zst", zstd_compress)])
def test_what_comes_before_a_cut_is_given(ending: str, pack: Callable[[bytes], bytes]) -> None:
    chance = random.Random(5)
    data = b"".join(b"%032x\n" % chance.getrandbits(128) for _ in range(60_000))
    packed = pack(data)
    cut = packed[: len(packed) // 2]
    made: list[bytes] = []
    with pytest.raises(FileProblemError, match="cut short"):
        made.extend(decompressed([cut[n : n + 999] for n in range(0, len(cut), 999)], ending))
    assert data.startswith(b"".join(made))
    assert len(b"".join(made)) > len(data) // 4
    assert list(decompressed([b"", b""], ending)) == []
    assert b"".join(decompressed([pack(b"")], ending)) == b""


# Bytes of fields without quotes, separators and ends of lines; many are no UTF-8.
CSV_FIELDS = st.lists(
    st.sampled_from([b"1", b"ab", b"\xff", b"\xc3", b"\xa9", "é".encode(), "\U0010ff80".encode()])
    | st.binary(min_size=1, max_size=4).filter(lambda field: not set(field) & set(b'",\r\n\0')),
    min_size=1,
    max_size=3,
)


@given(st.lists(CSV_FIELDS, max_size=8), st.integers(1, 9))
@hypothesis_settings(deadline=None, max_examples=50)
def test_a_csv_record_that_is_no_text_takes_no_other_with_it(
    records: list[list[bytes]], block: int
) -> None:
    data = b"a,b\n" + b"".join(b",".join(fields) + b"\n" for fields in records)
    blocks = [data[start : start + block] for start in range(0, len(data), block)]
    found = {}
    for chunk in csv_chunks(blocks, ANY_FIELDS):
        for number, line in enumerate(chunk.data.split(b"\n"), chunk.first_line):
            found[number] = (chunk.problem, line)
    assert list(found) == list(range(2, len(records) + 2))
    is_all_text = data.isascii() or b"\xf4\x8f" not in data
    for (problem, line), fields in zip(found.values(), records, strict=True):
        if b"".join(fields).strip() and len(fields) != 2:
            assert problem == "wrong_field_count"
            if is_all_text:
                assert line == b",".join(fields)
        elif b"".join(fields).isdigit():
            assert json.loads(line) == dict(zip("ab", map(bytes.decode, fields), strict=True))


def test_zeros_behind_a_gzip_file_are_passed_over_and_behind_zstd_are_damage() -> None:
    assert list(decompressed([gzip.compress(b"a"), b"\0" * 600], "gz")) == [b"a"]
    with pytest.raises(FileProblemError, match="damaged"):
        list(decompressed([zstd_compress(b"a"), b"\0" * 600], "zst"))


def test_an_error_of_the_store_is_not_taken_for_damage() -> None:
    def blocks() -> Iterator[bytes]:
        yield gzip.compress(b"a" * 100)[:20]
        raise OSError("connection reset")

    with pytest.raises(OSError, match="connection reset"):
        list(decompressed(blocks(), "gz"))


def test_every_arrow_type_is_written_exactly() -> None:
    batch = pa.record_batch(
        {
            "text": pa.array(['a"b\\c\n\x01é', None, ""]),
            "bytes": pa.array([b"x", None, b"y"]),
            "whole": pa.array([2**64 - 1, None, 0], pa.uint64()),
            "float": pa.array([0.1, float("nan"), 123.0]),
            "money": pa.array([Decimal("0.0000001"), Decimal("12345678901234.1234567"), None]),
            "time": pa.array([1, 10**18 + 1, None], pa.timestamp("ns", "Asia/Tokyo")),
            "id": pa.array([b"\0" * 15 + b"\x05", None, b"\xff" * 16], pa.binary(16)),
            "map": pa.array(
                [[("a", '1"'), ("b", None)], None, []], pa.map_(pa.string(), pa.string())
            ),
            "struct": pa.array([{"x": 1, "y": [1, None]}, None, {"x": None, "y": None}]),
            "category": pa.array(["p", "q", None]).dictionary_encode(),
            "flag": pa.array([True, False, None]),
            "nothing": pa.nulls(3),
        }
    )
    wanted = [
        {
            "text": 'a"b\\c\n\x01é',
            "bytes": "x",
            "whole": "18446744073709551615",
            "float": "0.1",
            "money": "1E-7",
            "time": "1970-01-01 00:00:00.000000001",
            "id": "0" * 31 + "5",
            "map": {"a": '1"'},
            "struct": {"x": "1", "y": ["1", None]},
            "category": "p",
            "flag": "true",
        },
        {
            "money": "12345678901234.1234567",
            "time": "2001-09-09 01:46:40.000000001",
            "category": "q",
            "flag": "false",
        },
        {
            "text": "",
            "bytes": "y",
            "whole": "0",
            "float": "123",
            "id": "f" * 32,
            "map": {},
            "struct": {},
        },
    ]
    assert [json.loads(line) for line in json_lines(batch).split(b"\n")] == wanted
    for n in range(3):
        assert [json.loads(json_lines(batch.slice(n, 1)))] == [wanted[n]]
    assert json_lines(batch.slice(0, 0)) == b""
    # Bytes that are no UTF-8 pass unchanged: the engine is to refuse just that row.
    assert json_lines(pa.record_batch({"a": pa.array([b"\xff"])})) == b'{"a": "\xff"}'


def test_reading_ahead_passes_errors_on_and_stops_when_given_up() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise FileProblemError("bad", "gone")

    ahead = read_ahead(failing(), items_max=2)
    assert next(ahead) == 1
    with pytest.raises(FileProblemError, match="gone"):
        next(ahead)
    endless = read_ahead(iter(int, 1), items_max=2)
    assert next(endless) == 0
    endless.close()


def test_an_object_store_is_read_by_its_url() -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/landing/api_requests/day/a.ndjson", b'{"a": 1}\n')
    store.pipe("/bucket/landing/api_requests/a.ndjson.tmp", b"")
    landing = open_landing(read_settings({"MASQUES_LANDING_URL": "memory://bucket/landing"}))
    files = list_folder(landing, "api_requests", settle_s=-1).files
    assert [file.path for file in files] == ["api_requests/day/a.ndjson"]
    assert [chunk.data for chunk in read_lines(landing, files[0])] == [b'{"a": 1}']
    assert list_folder(landing, "identities").files == []
    store.rm("/bucket", recursive=True)


def test_a_url_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"MASQUES_LANDING_URL: .* \[s3\]|install.*\[s3\]"):
        open_landing(read_settings({"MASQUES_LANDING_URL": "s3://bucket/landing"}))
    with pytest.raises(SettingError, match="no file system for nonsense://"):
        open_landing(read_settings({"MASQUES_LANDING_URL": "nonsense://x"}))
    empty = open_landing(read_settings({"MASQUES_LANDING_URL": str(tmp_path)}))
    assert list_folder(empty, "x") == Listing()
