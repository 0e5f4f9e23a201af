"""Reads CSV as chunks of NDJSON lines: the header is record 1, and every record has its number."""

import codecs
import csv
import io
import re
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
    said,
)
from masques_pipelines.landing.compression import BLOCK_BYTES, BlockStream
from masques_pipelines.landing.fields import Fields, check_names

_HEADER_BYTES_MAX: Final = 1 << 20
_EMPTY: Final = b"{}"
# The reader hands a bad row over as text, and gives the whole file up when the row is no UTF-8. So
# bytes that are not become characters that nobody uses, U+10FF80 to U+10FFFF, and bytes again in
# what the reader makes of them; the engine rejects the row then.
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")  # as the error handler surrogateescape has them
_STOOD_IN: Final = re.compile(rb"\xf4\x8f([\xbe\xbf])([\x80-\xbf])")
_OFFSET: Final = 0x10FF00 - 0xDC00


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


class _ValidText:
    """Makes a text valid UTF-8 for the reader, and gives its bytes back."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = blocks
        self._is_changed = False

    def __iter__(self) -> Iterator[bytes]:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        for block in self._blocks:
            is_plain = block.isascii() and decoder.getstate() == (b"", 0)
            yield block if is_plain else self._valid(decoder.decode(block))
        yield self._valid(decoder.decode(b"", final=True))

    def _valid(self, text: str) -> bytes:
        changed, count = _NOT_UTF8.subn(lambda found: chr(ord(found[0]) + _OFFSET), text)
        self._is_changed |= count > 0
        return changed.encode()

    def original(self, data: bytes) -> bytes:
        """Returns the bytes of a part of the text as they came."""
        if not self._is_changed:
            return data
        return _STOOD_IN.sub(lambda found: bytes([(found[1][0] - 0xBE) * 64 + found[2][0]]), data)


def _records(blocks: Iterable[bytes], fields: Fields) -> Iterator[Chunk]:
    text = _ValidText(_with_whole_head(blocks))
    for chunk in _valid_records(text, fields):
        yield Chunk(chunk.first_line, text.original(chunk.data), chunk.problem)


def _valid_records(text: _ValidText, fields: Fields) -> Iterator[Chunk]:
    stream = io.BufferedReader(BlockStream(text), BLOCK_BYTES)
    head = stream.peek(_HEADER_BYTES_MAX)
    if head.startswith(BOM):
        stream.read(len(BOM))
        head = stream.peek(_HEADER_BYTES_MAX)
    if not head:
        return
    names = _header(text.original(head))
    check_names(names, fields)
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
            "bad_csv", f"the CSV data cannot be read ({said(error)}): deliver the file again"
        ) from error


def _with_whole_head(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Joins the first blocks, which a store may give in pieces, so that the header is in one."""
    following = iter(blocks)
    head = b""
    while len(head) < _HEADER_BYTES_MAX and (block := next(following, None)) is not None:
        head += block
    yield head
    yield from following


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
    text = row.text.encode()
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
