"""Reads NDJSON, CSV and Parquet files, plain or compressed, as chunks of numbered NDJSON lines.

A CSV or Parquet row becomes one line of NDJSON with the texts of its fields. Line numbers: the line
of the file for NDJSON; the record, the header being number 1, for CSV; the row for Parquet.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from masques_pipelines.landing.arrow_json import json_lines
from masques_pipelines.landing.chunks import (
    CHUNK_BYTES,
    LINE_BYTES_MAX,
    LINE_TOO_LONG,
    LONG_LINE_KEPT_BYTES,
    WRONG_FIELD_COUNT,
    Chunk,
    FileProblemError,
)
from masques_pipelines.landing.compression import BLOCK_BYTES, BlockStream, decompressed

NDJSON_ENDINGS: Final = ("ndjson", "jsonl")
FORMATS: Final = (*NDJSON_ENDINGS, "csv", "parquet")
COMPRESSIONS: Final = ("gz", "zst")
PARQUET_BATCH_ROWS: Final = 16_384
_BOM: Final = b"\xef\xbb\xbf"
_HEADER_BYTES_MAX: Final = 1 << 20

Blocks = Iterable[bytes]


def format_of(name: str) -> tuple[str, str] | None:
    """Returns format and compression ('' for none) by a file's name, None for any other file."""
    parts = name.lower().rsplit("/", 1)[-1].split(".")
    compression = parts.pop() if parts[-1] in COMPRESSIONS else ""
    if len(parts) < 2 or parts[-1] not in FORMATS:
        return None
    return parts[-1], compression


def read_chunks(name: str, blocks: Blocks) -> Iterator[Chunk]:
    """Yields the lines of a file.

    Args:
        name: The file's name, which says its format and compression.
        blocks: Its bytes as they are stored.

    Raises:
        FileProblemError: The file cannot be read (further); the chunks so far are good.
    """
    found = format_of(name)
    if found is None:
        raise FileProblemError(
            "unknown_format",
            f"{name}: the format is not one of {', '.join(FORMATS)}: rename the file",
        )
    kind, compression = found
    plain = decompressed(blocks, compression)
    if kind == "parquet":
        yield from _parquet_chunks(plain)
    elif kind == "csv":
        yield from _csv_chunks(plain)
    else:
        yield from ndjson_chunks(plain)


def read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yields a file's bytes in blocks."""
    while block := file.read(BLOCK_BYTES):
        yield block


def ndjson_chunks(blocks: Blocks) -> Iterator[Chunk]:
    """Cuts NDJSON at line feeds. A line beyond LINE_BYTES_MAX is one bad row by itself."""
    line_no = 1
    rest: list[bytes] = []  # what follows the last line feed, in pieces
    rest_bytes = 0
    is_long = False  # inside a line that is too long, of which the beginning is in the rest
    for block in _without_bom(blocks):
        data = block
        if is_long:
            end = data.find(b"\n")
            if end < 0:
                continue
            yield Chunk(line_no, rest[0], LINE_TOO_LONG)
            line_no, is_long, rest, data = line_no + 1, False, [], data[end + 1 :]
            rest_bytes = 0
        cut = data.rfind(b"\n")
        if cut >= 0 and rest_bytes + len(data) >= CHUNK_BYTES:
            chunk = Chunk(line_no, b"".join([*rest, memoryview(data)[:cut]]))
            yield chunk
            line_no += chunk.lines
            rest, rest_bytes, data = [], 0, data[cut + 1 :]
        rest.append(data)
        rest_bytes += len(data)
        if rest_bytes > LINE_BYTES_MAX and cut < 0:
            done, line = _last_line(rest)
            if done is not None:
                chunk = Chunk(line_no, done)
                yield chunk
                line_no += chunk.lines
            rest, rest_bytes = [line], len(line)
            if len(line) > LINE_BYTES_MAX:
                is_long, rest = True, [line[:LONG_LINE_KEPT_BYTES]]
    data = b"".join(rest)
    if is_long:
        yield Chunk(line_no, data, LINE_TOO_LONG)
    elif data:
        yield Chunk(line_no, data.removesuffix(b"\n"))


def _last_line(pieces: list[bytes]) -> tuple[bytes | None, bytes]:
    """Returns whole lines, None when there are none, and the unfinished one after them."""
    data = b"".join(pieces)
    cut = data.rfind(b"\n")
    return (None, data) if cut < 0 else (data[:cut], data[cut + 1 :])


def _without_bom(blocks: Blocks) -> Iterator[bytes]:
    """Drops a byte order mark, also one that is cut by a block's edge."""
    head: bytes | None = b""
    for block in blocks:
        if head is None:
            yield block
            continue
        head += block
        if len(head) >= len(_BOM):
            yield head.removeprefix(_BOM)
            head = None
    if head:
        yield head.removeprefix(_BOM)


def batches_chunks(batches: Iterable[pa.RecordBatch], *, first_line: int = 1) -> Iterator[Chunk]:
    """Yields the rows of Arrow batches as NDJSON."""
    line_no = first_line
    for batch in batches:
        for piece in _bounded(batch):
            yield Chunk(line_no, json_lines(piece))
            line_no += piece.num_rows


def _bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cuts a batch so that a chunk of it stays near CHUNK_BYTES; names add to the values."""
    if batch.num_rows == 0:
        return
    names_bytes = sum(len(name) + 8 for name in batch.schema.names)
    row_bytes = batch.get_total_buffer_size() // batch.num_rows + names_bytes
    rows = max(1, CHUNK_BYTES // max(1, row_bytes))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _parquet_chunks(blocks: Blocks) -> Iterator[Chunk]:
    """Parquet is read from its end, so a stream is written to a temporary file first."""
    with tempfile.TemporaryFile() as file:
        file.writelines(blocks)
        file.seek(0)
        try:
            parquet = pyarrow.parquet.ParquetFile(file)
            names = parquet.schema_arrow.names
            _refuse_repeated(names)
            yield from batches_chunks(parquet.iter_batches(batch_size=PARQUET_BATCH_ROWS))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise FileProblemError(
                "bad_parquet",
                f"the Parquet data cannot be read ({_line(error)}): deliver the file again",
            ) from error


def _csv_chunks(blocks: Blocks) -> Iterator[Chunk]:
    stream = io.BufferedReader(BlockStream(blocks), BLOCK_BYTES)
    head = stream.peek(_HEADER_BYTES_MAX)
    if head.startswith(_BOM):
        stream.read(len(_BOM))
        head = stream.peek(_HEADER_BYTES_MAX)
    if not head:
        return
    names = _header(head)
    bad: list[Any] = []

    def keep(row: Any) -> str:
        bad.append(row)
        return "skip"

    try:
        with pyarrow.csv.open_csv(
            stream,
            # One thread: only then has a bad row its number. Values stay bytes: the engine rejects
            # a bad row by itself, where the reader would reject the file.
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=CHUNK_BYTES, column_names=names, skip_rows=1
            ),
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.binary()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        ) as reader:
            yield from _csv_records(reader, bad)
    except FileProblemError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileProblemError(
            "bad_csv", f"the CSV data cannot be read ({_line(error)}): deliver the file again"
        ) from error


def _csv_records(reader: Iterable[pa.RecordBatch], bad: list[Any]) -> Iterator[Chunk]:
    """Numbers the records: good rows take the numbers that the skipped ones leave free."""
    record = 2  # the header is record 1
    for batch in reader:
        start = 0
        while start < batch.num_rows:
            yield_to = batch.num_rows
            if bad:
                yield_to = min(yield_to, start + bad[0].number - record)
            if yield_to > start:
                part = batch.slice(start, yield_to - start)
                yield from batches_chunks([part], first_line=record)
                record, start = record + part.num_rows, yield_to
            if bad and bad[0].number == record:
                yield _skipped(bad.pop(0), record)
                record += 1
    for row in bad:
        yield _skipped(row, record)
        record += 1


def _skipped(row: Any, record: int) -> Chunk:
    text = row.text.encode("utf-8", "surrogateescape")
    return Chunk(record, text, WRONG_FIELD_COUNT)


def _header(head: bytes) -> list[str]:
    try:
        names = next(csv.reader(io.StringIO(head.decode("utf-8", "replace"), newline="")))
    except (csv.Error, StopIteration) as error:
        raise FileProblemError(
            "bad_header", "the CSV file has no line of field names: deliver it with one"
        ) from error
    names = [name.strip() for name in names]
    _refuse_repeated(names)
    return names


def _refuse_repeated(names: list[str]) -> None:
    if "" in names or len(set(names)) != len(names):
        raise FileProblemError(
            "bad_header",
            "a field name is empty or there twice: name each field once, and deliver again",
        )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
