"""The file as a whole: headers, damage, other content, dictionaries, checksums and far dates."""

import gzip
import io
import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from masques_pipelines.landing.chunks import CHUNK_BYTES, FileProblemError
from masques_pipelines.landing.fields import Fields
from masques_pipelines.landing.formats import read_chunks
from masques_pipelines.zstd import CompressionParameter, ZstdFile
from masques_pipelines.zstd import compress as zstd_compress

FIELDS = Fields("request_id", frozenset({"request_id", "endpoint", "trace_id", "span_id"}))


def read(name: str, data: bytes, *, block: int = 1 << 16) -> tuple[list[Any], str]:
    """Rows of a file, or the text of lines that are none; and the reason why it ended early."""
    rows: list[Any] = []
    blocks = (data[start : start + block] for start in range(0, len(data), block))
    try:
        for chunk in read_chunks(name, blocks, FIELDS):
            lines = [chunk.data] if chunk.problem else chunk.data.split(b"\n")
            rows += [chunk.problem or _row(line) for line in lines]
    except FileProblemError as problem:
        return rows, f"{problem.reason}: {problem}"
    return rows, ""


def _row(line: bytes) -> Any:
    try:
        return json.loads(line) if line else None
    except ValueError:
        return line


def parquet(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ("request_id;endpoint", "the separator is a semicolon"),
        ("request_id\tendpoint", "the separator is a tab"),
        ("request_id|endpoint", "the separator is a bar"),
        ("sep=,", "names a separator"),
        ("# made by hand", "is a comment"),
        ("Request_ID,endpoint", "'Request_ID' is written differently: name it request_id"),
        ("requestId,endpoint", "'requestId' is written differently"),
        ("5a2d7bd3-6bbb-4fbb-b8ab-a0e5eb0e6bd1,/tools", "is a row, not names"),
        ("session_id,endpoint", "rows of another table"),
    ],
)
def test_a_header_without_the_key_is_one_problem_with_its_cause(header: str, cause: str) -> None:
    rows, problem = read("a.csv", f"{header}\n1,2\n".encode())
    assert rows == []
    assert problem.startswith("bad_header: no field is named request_id; found '")
    assert cause in problem
    if "," in header and "row" not in cause:
        table = pa.table({name: ["1"] for name in header.split(",")})
        assert read("a.parquet", parquet(table)) == (rows, problem)


def test_text_of_another_encoding_or_format_is_named() -> None:
    text = 'request_id,endpoint\n"1",2\n'
    for name in ("a.csv", "a.ndjson"):
        assert "bad_encoding: the content is text in UTF-16" in read(name, text.encode("utf-16"))[1]
        for content, words in (
            (gzip.compress(text.encode()), "gzip: let its name end in .gz"),
            (zstd_compress(text.encode()), "Zstandard: let its name end in .zst"),
            (
                parquet(pa.table({"request_id": ["1"]})),
                "Parquet: let its name end in .parquet",
            ),
        ):
            assert read(name, content) == ([], f"wrong_ending: the content is {words}")
    without_mark = text.encode("utf-16-le")
    assert "bad_header" in read("a.csv", without_mark)[1]
    assert "UTF-16" in read("a.csv", without_mark)[1]


def lines_of(rows: list[dict[str, str]], kind: str) -> bytes:
    if kind == "ndjson":
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    made = ["request_id,endpoint", *(f'{row["request_id"]},"{row["endpoint"]}"' for row in rows)]
    return "\n".join(made).encode() + b"\n"


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("harm", ["cut", "flip", "trailing"])
def test_what_was_read_before_the_damage_is_good_and_nothing_is_half(
    kind: str, ending: str, harm: str
) -> None:
    chance = random.Random(f"{kind} {ending} {harm}")
    # Line feeds inside of values: the last record before the damage may end in one.
    rows = [
        {"request_id": str(uuid.UUID(int=chance.getrandbits(128))), "endpoint": f"/{n}\n,{n}"}
        for n in range(4_000)
    ]
    plain = lines_of(rows, kind)
    packed = gzip.compress(plain) if ending == "gz" else zstd_compress(plain)
    for _ in range(12):
        data = bytearray(packed)
        place = chance.randrange(len(data) // 2, len(data) - 20)
        if harm == "cut":
            del data[place:]
        elif harm == "flip":
            data[place] ^= 1 << chance.randrange(8)
        else:
            data += b"and then this"
        found, problem = read(
            f"a.{kind}.{ending}", bytes(data), block=chance.choice([999, 1 << 20])
        )
        if harm == "flip" and ending == "zst" and not problem.startswith("bad_comp"):
            # A flipped literal is found by the checksum at the end, if there is one.
            continue
        assert problem.startswith("bad_compression: ")
        if harm != "flip":
            assert found == rows[: len(found)]
            lost = len(rows) if harm == "trailing" else len(rows) * place // len(packed)
            # zstd has blocks of 128 KiB, which it makes at once.
            assert len(found) > lost - 64 - (140_000 * len(rows) // len(plain))


def test_data_that_is_whole_but_cannot_be_read_gets_other_advice() -> None:
    window: dict[int, int] = {CompressionParameter.window_log: 30}
    file = io.BytesIO()
    with ZstdFile(file, "wb", options=window) as stream:
        for _ in range(3):
            stream.write(b'{"request_id": "1"}\n' * 1000)
            stream.flush()
    assert "--long=27" in read("a.ndjson.zst", file.getvalue())[1]


def test_empty_lines_of_csv_are_records_too() -> None:
    rows, problem = read("a.csv", b"request_id,endpoint\n\n1,a\n\n2\n3,c\n\n")
    assert rows == [
        None,
        {"request_id": "1", "endpoint": "a"},
        None,
        "wrong_field_count",
        {"request_id": "3", "endpoint": "c"},
        None,
    ]
    assert problem == ""


@pytest.mark.parametrize("shape", ["flat", "list", "map"])
def test_a_dictionary_that_says_more_than_memory_holds_is_read_piece_by_piece(shape: str) -> None:
    # A few KB that would take far more memory if each value were made at once.
    value = "x" * 1_000_000
    rows = 100
    texts: Any = [value] * rows
    if shape == "list":
        texts = pa.array([[value]] * rows, pa.list_(pa.string()))
    elif shape == "map":
        texts = pa.array([[("k", value)]] * rows, pa.map_(pa.string(), pa.string()))
    data = parquet(pa.table({"request_id": [str(n) for n in range(rows)], "extra": texts}))
    del texts
    assert len(data) < 200_000
    before = pa.total_allocated_bytes()
    chunks: Iterator[Any] = read_chunks("a.parquet", iter([data]), FIELDS)
    highest = 0
    try:
        for chunk in chunks:
            assert len(chunk.data) < 2 * CHUNK_BYTES
            highest = max(highest, pa.total_allocated_bytes() - before)
    except FileProblemError as problem:
        assert problem.reason == "compression_bomb"  # noqa: PT017 - the chunks are looked at
    else:
        pytest.fail("it was read to its end")
    assert highest < 200 << 20


def test_a_row_that_is_too_long_is_one_bad_row() -> None:
    table = pa.table({"request_id": ["1", "2", "3"], "endpoint": ["a", "x" * (17 << 20), "c"]})
    assert read("a.parquet", parquet(table))[0] == [
        {"request_id": "1", "endpoint": "a"},
        "line_too_long",
        {"request_id": "3", "endpoint": "c"},
    ]


def test_a_flipped_bit_of_a_page_is_found() -> None:
    rows = [{"request_id": f"{n:08}", "endpoint": f"/{n % 7}"} for n in range(2_000)]
    table = pa.table({name: [row[name] for row in rows] for name in rows[0]})
    data = parquet(table, write_page_checksum=True, compression="none", row_group_size=500)
    chance = random.Random(5)
    problems = 0
    for _ in range(60):
        broken = bytearray(data)
        broken[chance.randrange(4, len(data) - 3_000)] ^= 1 << chance.randrange(8)
        found, problem = read("a.parquet", bytes(broken))
        assert found == rows[: len(found)]
        problems += problem.startswith("bad_parquet: ")
    assert problems > 50


def test_far_dates_of_int96_do_not_come_round() -> None:
    moments = [
        datetime(2026, 11, 1, 2, 3, 4, 5, UTC),
        datetime(9999, 1, 1, tzinfo=UTC),
        datetime(1600, 1, 1, tzinfo=UTC),
        None,
    ]
    table = pa.table(
        {
            "request_id": ["1", "2", "3", "4"],
            "timestamp": pa.array(moments, pa.timestamp("us")),
        }
    )
    data = parquet(table, use_deprecated_int96_timestamps=True)
    assert [row.get("timestamp") for row in read("a.parquet", data)[0]] == [
        "2026-11-01 02:03:04.000005000",
        "9999-01-01 00:00:00.000000",
        "1600-01-01 00:00:00.000000",
        None,
    ]


def test_whole_doubles_are_written_as_integers() -> None:
    values = [1795514400123.0, 1.2345678901e10, 9999999999.0, -3e15, 0.5, None, 2.0**53, 1e300]
    table = pa.table({"request_id": ["1"] * 8, "n": pa.array(values, pa.float64())})
    found = [row.get("n") for row in read("a.parquet", parquet(table))[0]]
    assert found == [
        *("1795514400123", "12345678901", "9999999999", "-3000000000000000", "0.5", None),
        *("9007199254740992", "1e+300"),
    ]


def test_binary_ids_are_hex_and_damaged_text_is_left_for_the_engine() -> None:
    chance = random.Random(2)
    ids = [chance.randbytes(16) for _ in range(50)]
    spans = [chance.randbytes(8) for _ in range(50)]
    table = pa.table(
        {
            "request_id": pa.array(ids, pa.binary()),
            "span_id": pa.array([None, *spans[1:]], pa.binary(8)),
            "trace_id": pa.array(["0123456789abcdef" * 2] * 50, pa.binary()),
            "blob": pa.array([b"\xff" * n for n in range(50)], pa.binary()),
        }
    )
    found = read("a.parquet", parquet(table))[0]
    assert [row["request_id"] for row in found] == [one.hex() for one in ids]
    assert [row.get("span_id") for row in found] == [None, *(one.hex() for one in spans[1:])]
    assert {row["trace_id"] for row in found} == {"0123456789abcdef" * 2}
    assert found[3]["blob"] == "ffffff"
    # One wrong byte in a column of text: another text would be a silent change.
    damaged = [b"/tools/\xff", *(b"/tools/%d" % n for n in range(9))]
    table = pa.table({"request_id": ["1"] * 10, "endpoint": pa.array(damaged, pa.binary())})
    chunks = list(read_chunks("a.parquet", iter([parquet(table)]), FIELDS))
    assert b'"/tools/\xff"' in chunks[0].data
    assert b'"/tools/3"' in chunks[0].data
