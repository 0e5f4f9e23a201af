"""Decompression that is bounded, whatever the bytes say.

Here: gzip and zstd as a stream of blocks, with truncation, damage and bombs told apart.
Not here: opening files (landing.py) and cutting them into lines (reading.py).
A re-run reads the blocks again.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import zstandard

from masques_pipelines.landing.chunks import FileProblemError

BLOCK_BYTES: Final = 4 << 20
# zstd cannot be told to stop in the middle of its input: 1 KiB of it makes at most about 32 MiB.
ZSTD_INPUT_BYTES: Final = 1 << 10
# Lines with ids of their own do not shrink a hundredfold; these do, and only to fill a disk.
BOMB_BYTES_MIN: Final = 64 << 20
BOMB_RATIO: Final = 500
_GZIP_WBITS: Final = 31


def decompressed(blocks: Iterable[bytes], ending: str) -> Iterator[bytes]:
    """Yields the content of a compressed stream.

    Args:
        blocks: The stream as it lies there.
        ending: "gz", "zst", or anything else for a stream that is not compressed.

    Raises:
        FileProblemError: bad_compression (damaged or cut short), or compression_bomb.
    """
    if ending == "gz":
        yield from _guarded(blocks, _gunzipped)
    elif ending == "zst":
        yield from _guarded(blocks, _unzstd)
    else:
        yield from blocks


class _Counted:
    """Passes blocks on and counts them."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = blocks
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self.bytes += len(block)
            yield block


def _guarded(
    blocks: Iterable[bytes], method: Callable[[Iterable[bytes]], Iterator[bytes]]
) -> Iterator[bytes]:
    counted = _Counted(blocks)
    made_bytes = 0
    try:
        for block in method(counted):
            made_bytes += len(block)
            if made_bytes > BOMB_BYTES_MIN and made_bytes > BOMB_RATIO * counted.bytes:
                raise FileProblemError(
                    "compression_bomb",
                    f"{counted.bytes:,} compressed bytes made {made_bytes:,}, which is no data: "
                    "ask the producer what it is",
                )
            yield block
    except (zlib.error, zstandard.ZstdError) as error:
        raise FileProblemError(
            "bad_compression", f"the compressed data is damaged ({error}): deliver the file again"
        ) from error


def _gunzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Members may follow one another, as gzip allows."""
    member = zlib.decompressobj(_GZIP_WBITS)
    has_begun = False
    for block in blocks:
        rest = block
        while rest:
            has_begun = True
            made = member.decompress(rest, BLOCK_BYTES)
            if made:
                yield made
            rest = member.unconsumed_tail
            if member.eof:
                # Padding of zeros behind the last member is usual on tapes and in tests of gzip.
                rest = member.unused_data.lstrip(b"\0")
                member = zlib.decompressobj(_GZIP_WBITS)
                has_begun = bool(rest)
    if has_begun:
        yield from _flushed(member)


def _flushed(member: "zlib._Decompress") -> Iterator[bytes]:
    made = member.flush()
    if made:
        yield made
    if not member.eof:
        raise _cut_short()


def _unzstd(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Frames may follow one another, as zstd allows."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    has_begun = False
    for block in blocks:
        for start in range(0, len(block), ZSTD_INPUT_BYTES):
            rest = block[start : start + ZSTD_INPUT_BYTES]
            while rest:
                has_begun = True
                made = frame.decompress(rest)
                if made:
                    yield made
                rest = b""
                if frame.eof:
                    rest = frame.unused_data
                    frame = zstandard.ZstdDecompressor().decompressobj()
                    has_begun = bool(rest)
    if has_begun:
        raise _cut_short()


def _cut_short() -> FileProblemError:
    return FileProblemError(
        "bad_compression", "the compressed data is cut short: deliver the file again, whole"
    )
