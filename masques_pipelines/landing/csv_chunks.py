"""Reads CSV as chunks of NDJSON lines: the header is record 1, and every record has its number."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv

from masques_pipelines.landing.arrow_chunks import batches_chunks
from masques_pipelines.landing.chunks import (
    BOM,
    CHUNK_BYTES,
    WRONG_FIELD_COUNT,
    Chunk,
    FileProblemError,
)
from masques_pipelines.landing.compression import BLOCK_BYTES, BlockStream
from masques_pipelines.landing.fields import Fields, require_key

_HEADER_BYTES_MAX: Final = 1 << 20
_EMPTY: Final = b"{}"


def csv_chunks(blocks: Iterable[bytes], fields: Fields) -> Iterator[Chunk]:
    """Yields the records of a CSV file.

    Raises:
        FileProblemError: It has no header with the key field, or cannot be read (further). The
            chunks so far are good: the record that damage may have cut is not among them.
    """
    damage: list[FileProblemError] = []
    try:
        yield from _last_held_back(_records(_until(blocks, damage), fields), damage)
    except FileProblemError:
        if not damage:  # else it is only what follows from the damage
            raise
    if damage:
        raise damage[0]


def _records(blocks: Iterable[bytes], fields: Fields) -> Iterator[Chunk]:
    stream = io.BufferedReader(BlockStream(blocks), BLOCK_BYTES)
    head = stream.peek(_HEADER_BYTES_MAX)
    if head.startswith(BOM):
        stream.read(len(BOM))
        head = stream.peek(_HEADER_BYTES_MAX)
    if not head:
        return
    names = _header(head)
    require_key(names, fields)
    refuse_repeated(names)
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
            # An empty line is a record too: the reader would leave it out of its numbers.
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=keep, ignore_empty_lines=False
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.binary()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        ) as reader:
            yield from _numbered(reader, bad)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileProblemError(
            "bad_csv", f"the CSV data cannot be read ({_line(error)}): deliver the file again"
        ) from error


def _numbered(reader: Iterable[pa.RecordBatch], bad: list[Any]) -> Iterator[Chunk]:
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
                for chunk in batches_chunks([part], first_line=record):
                    yield _with_blanks(chunk)
                record, start = record + part.num_rows, yield_to
            if bad and bad[0].number == record:
                yield _skipped(bad.pop(0), record)
                record += 1
    for row in bad:
        yield _skipped(row, record)
        record += 1


def _with_blanks(chunk: Chunk) -> Chunk:
    """Makes a record without any value a blank line."""
    if _EMPTY not in chunk.data:
        return chunk
    lines = [b"" if line == _EMPTY else line for line in chunk.data.split(b"\n")]
    return Chunk(chunk.first_line, b"\n".join(lines), chunk.problem)


def _skipped(row: Any, record: int) -> Chunk:
    text = row.text.encode("utf-8", "surrogateescape")
    return Chunk(record, text, WRONG_FIELD_COUNT) if text.strip() else Chunk(record, b"")


def _until(blocks: Iterable[bytes], damage: list[FileProblemError]) -> Iterator[bytes]:
    """Yields blocks until they cannot be read, which ends them; the reader would lose its block."""
    try:
        yield from blocks
    except FileProblemError as error:
        damage.append(error)


def _last_held_back(chunks: Iterator[Chunk], damage: list[FileProblemError]) -> Iterator[Chunk]:
    """Yields all but the last record when there is damage: half a record may look like a whole."""
    last: Chunk | None = None
    for chunk in chunks:
        if last is not None:
            yield last
        last = chunk
    if last is None:
        return
    if not damage:
        yield last
    elif not last.problem and b"\n" in last.data:
        yield Chunk(last.first_line, last.data[: last.data.rindex(b"\n")])


def _header(head: bytes) -> list[str]:
    try:
        names = next(csv.reader(io.StringIO(head.decode("utf-8", "replace"), newline="")))
    except (csv.Error, StopIteration) as error:
        raise FileProblemError(
            "bad_header", "the CSV file has no line of field names: deliver it with one"
        ) from error
    return [name.strip() for name in names]


def refuse_repeated(names: list[str]) -> None:
    """Refuses a header or schema in which a name is empty or there twice.

    Raises:
        FileProblemError: bad_header.
    """
    if "" in names or len(set(names)) != len(names):
        raise FileProblemError(
            "bad_header",
            "a field name is empty or there twice: name each field once, and deliver again",
        )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
