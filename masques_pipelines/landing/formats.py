"""Reads NDJSON, CSV and Parquet files, plain or compressed, as chunks of numbered NDJSON lines.

A CSV or Parquet row becomes one line of NDJSON with the texts of its fields. Line numbers: the line
of the file for NDJSON; the record, the header being number 1, for CSV; the row for Parquet.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from masques_pipelines.landing.chunks import (
    BOM,
    CHUNK_BYTES,
    LINE_BYTES_MAX,
    LINE_TOO_LONG,
    LONG_LINE_KEPT_BYTES,
    Chunk,
    FileProblemError,
)
from masques_pipelines.landing.compression import BLOCK_BYTES, decompressed
from masques_pipelines.landing.fields import ANY_FIELDS, Fields

NDJSON_ENDINGS: Final = ("ndjson", "jsonl")
FORMATS: Final = (*NDJSON_ENDINGS, "csv", "parquet")
COMPRESSIONS: Final = ("gz", "zst")
# What the first bytes of a file say that its name does not.
_OTHER_CONTENT: Final = {
    b"\x1f\x8b": ("wrong_ending", "gzip: let its name end in .gz"),
    b"\x28\xb5\x2f\xfd": ("wrong_ending", "Zstandard: let its name end in .zst"),
    b"PAR1": ("wrong_ending", "Parquet: let its name end in .parquet"),
    b"BZh": ("wrong_ending", "bzip2: deliver it plain, or as .gz or .zst"),
    b"PK\x03\x04": ("wrong_ending", "a zip archive: deliver it plain, or as .gz or .zst"),
    b"\xff\xfe": ("bad_encoding", "text in UTF-16: deliver it in UTF-8"),
    b"\xfe\xff": ("bad_encoding", "text in UTF-16: deliver it in UTF-8"),
}

Blocks = Iterable[bytes]


def format_of(name: str) -> tuple[str, str] | None:
    """Returns format and compression ('' for none) by a file's name, None for any other file."""
    parts = name.lower().rsplit("/", 1)[-1].split(".")
    compression = parts.pop() if parts[-1] in COMPRESSIONS else ""
    if len(parts) < 2 or parts[-1] not in FORMATS:
        return None
    return parts[-1], compression


def read_chunks(name: str, blocks: Blocks, fields: Fields = ANY_FIELDS) -> Iterator[Chunk]:
    """Yields the lines of a file.

    Args:
        name: The file's name, which says its format and compression.
        blocks: Its bytes as they are stored.
        fields: What is known of the rows' fields.

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
    if kind in NDJSON_ENDINGS:
        yield from ndjson_chunks(_as_named(plain))
    elif kind == "csv":
        # Arrow takes longer to load than a small file to read.
        from masques_pipelines.landing.csv_chunks import csv_chunks  # noqa: PLC0415

        yield from csv_chunks(_as_named(plain), fields)
    else:
        from masques_pipelines.landing.parquet_chunks import parquet_chunks  # noqa: PLC0415

        yield from parquet_chunks(plain, fields)


def read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yields a file's bytes in blocks."""
    while block := file.read(BLOCK_BYTES):
        yield block


def _as_named(blocks: Blocks) -> Iterator[bytes]:
    """Yields the blocks of a text; refuses one that is none by its first bytes."""
    following = iter(blocks)
    for first in following:
        for mark, (reason, content) in _OTHER_CONTENT.items():
            if first.startswith(mark):
                raise FileProblemError(reason, f"the content is {content}")
        yield from itertools.chain([first], following)


def ndjson_chunks(blocks: Blocks) -> Iterator[Chunk]:
    """Cuts NDJSON at line feeds. A line beyond LINE_BYTES_MAX is one bad row by itself.

    Raises:
        FileProblemError: From the blocks; the whole lines before it have been yielded.
    """
    cutter = _Cutter()
    try:
        for block in _without_bom(blocks):
            yield from cutter.add(block)
    except FileProblemError:
        yield from cutter.whole_lines()
        raise
    yield from cutter.end()


class _Cutter:
    """Cuts blocks into chunks of whole lines."""

    def __init__(self) -> None:
        self._line_no = 1
        self._rest: list[bytes] = []  # what follows the last chunk, in pieces
        self._rest_bytes = 0
        self._is_long = False  # inside a line that is too long; its beginning is the rest

    def add(self, data: bytes) -> Iterator[Chunk]:
        """Yields what is complete with one more block."""
        if self._is_long:
            end = data.find(b"\n")
            if end < 0:
                return
            yield self._long_line()
            data = data[end + 1 :]
        cut = data.rfind(b"\n")
        if cut >= 0 and self._rest_bytes + len(data) >= CHUNK_BYTES:
            yield from self._lines(b"".join([*self._rest, memoryview(data)[:cut]]))
            self._rest, self._rest_bytes, data = [], 0, data[cut + 1 :]
        self._rest.append(data)
        self._rest_bytes += len(data)
        if self._rest_bytes > LINE_BYTES_MAX and cut < 0:
            done, line = _last_line(self._rest)
            if done is not None:
                yield from self._lines(done)
            self._rest, self._rest_bytes = [line], len(line)
            if len(line) > LINE_BYTES_MAX:
                self._begin_long(line)

    def whole_lines(self) -> Iterator[Chunk]:
        """Yields the lines of the rest that have come to their end."""
        done, _line = _last_line(self._rest)
        if not self._is_long and done is not None:
            yield from self._lines(done)

    def end(self) -> Iterator[Chunk]:
        """Yields the rest, after the last block."""
        data = b"".join(self._rest)
        if self._is_long:
            yield self._long_line()
        elif data:
            yield from self._lines(data.removesuffix(b"\n"))

    def _begin_long(self, line: bytes) -> None:
        self._is_long = True
        self._rest, self._rest_bytes = [line[:LONG_LINE_KEPT_BYTES]], 0

    def _long_line(self) -> Chunk:
        chunk = Chunk(self._line_no, self._rest[0], LINE_TOO_LONG)
        self._line_no += 1
        self._is_long, self._rest = False, []
        return chunk

    def _lines(self, data: bytes) -> Iterator[Chunk]:
        """Yields whole lines; those that are too long by themselves."""
        start = 0
        if len(data) > LINE_BYTES_MAX:
            line_at = 0
            while line_at <= len(data):
                end = data.find(b"\n", line_at)
                end = len(data) if end < 0 else end
                if end - line_at > LINE_BYTES_MAX:
                    if line_at > start:
                        yield self._chunk(data[start : line_at - 1])
                    self._begin_long(data[line_at:end])
                    yield self._long_line()
                    start = end + 1
                line_at = end + 1
        if start <= len(data):
            yield self._chunk(data[start:])

    def _chunk(self, data: bytes) -> Chunk:
        chunk = Chunk(self._line_no, data)
        self._line_no += chunk.lines
        return chunk


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
        if len(head) >= len(BOM):
            yield head.removeprefix(BOM)
            head = None
    if head:
        yield head.removeprefix(BOM)
