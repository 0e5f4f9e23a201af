"""Reads NDJSON, CSV and Parquet files, plain or compressed, as chunks of numbered NDJSON lines.

A CSV or Parquet row becomes one line of NDJSON with the texts of its fields (arrow_files.py). Line
numbers: the line of the file for NDJSON; the record, the header being number 1, for CSV; the row
for Parquet.
"""

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

NDJSON_ENDINGS: Final = ("ndjson", "jsonl")
FORMATS: Final = (*NDJSON_ENDINGS, "csv", "parquet")
COMPRESSIONS: Final = ("gz", "zst")

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
    if kind in NDJSON_ENDINGS:
        yield from ndjson_chunks(plain)
        return
    # Arrow takes longer to load than a small file to read.
    from masques_pipelines.landing import arrow_files  # noqa: PLC0415

    read = arrow_files.csv_chunks if kind == "csv" else arrow_files.parquet_chunks
    yield from read(plain)


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
        if len(head) >= len(BOM):
            yield head.removeprefix(BOM)
            head = None
    if head:
        yield head.removeprefix(BOM)
