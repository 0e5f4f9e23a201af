"""Decompresses gzip and zstd streams in bounded blocks; refuses damaged, cut and exploding ones."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from masques_pipelines.landing.chunks import FileProblemError
from masques_pipelines.zstd import ZstdError, ZstdFile

BLOCK_BYTES: Final = 4 << 20
MADE_AT_ONCE_BYTES: Final = 64 << 10
# Lines with ids of their own do not shrink a hundredfold; a file beyond this only fills a disk.
BOMB_BYTES_MIN: Final = 64 << 20
BOMB_RATIO: Final = 500
# What the decoder says of data that is whole, and cannot be read all the same.
_ADVICE: Final = {
    "Dictionary mismatch": "it was compressed with a dictionary, which is not here: compress it "
    "without one",
    "requires too much memory": "its window is larger than 128 MiB: compress it with --long=27 or "
    "less",
}


class BlockStream(io.RawIOBase):
    """Blocks as a file that is read from beginning to end.

    Attributes:
        taken: Bytes of the blocks that were taken so far.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        super().__init__()
        self._blocks = iter(blocks)
        self._rest = memoryview(b"")
        self.taken = 0

    def readable(self) -> bool:
        """Returns whether it can be read, which it can."""
        return True

    def readinto(self, target: Any) -> int:
        """Fills the target with what comes next; 0 at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
            self.taken += len(block)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def decompressed(blocks: Iterable[bytes], ending: str) -> Iterator[bytes]:
    """Yields the content of a compressed stream; members and frames may follow one another.

    Args:
        blocks: The stream as it is stored.
        ending: "gz", "zst", or anything else for a stream that is not compressed.

    Raises:
        FileProblemError: bad_compression (damaged or cut short), or compression_bomb.
    """
    if ending not in ("gz", "zst"):
        yield from blocks
        return
    stream = BlockStream(blocks)
    buffered = io.BufferedReader(stream, BLOCK_BYTES)
    if buffered.peek(1):
        yield from _joined(_guarded(_opened(buffered, ending), stream))


def _guarded(content: gzip.GzipFile | ZstdFile, stream: BlockStream) -> Iterator[bytes]:
    made_bytes = 0
    try:
        with content:
            # read() would lose what it has when the stream turns out to be cut short, and a large
            # read1() what was made before the damage.
            while block := content.read1(MADE_AT_ONCE_BYTES):
                made_bytes += len(block)
                refuse_bomb(taken=stream.taken, made=made_bytes)
                yield block
    except EOFError as error:
        raise FileProblemError(
            "bad_compression", "the compressed data is cut short: deliver the file again, whole"
        ) from error
    except (gzip.BadGzipFile, zlib.error, ZstdError) as error:
        raise FileProblemError("bad_compression", _advice(str(error))) from error


def _advice(error: str) -> str:
    for words, advice in _ADVICE.items():
        if words in error:
            return advice
    return f"the compressed data is damaged ({error}): deliver the file again"


def _joined(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Joins blocks up to BLOCK_BYTES; yields what it has before it raises a problem."""
    pending: list[bytes] = []
    pending_bytes = 0
    try:
        for block in blocks:
            pending.append(block)
            pending_bytes += len(block)
            if pending_bytes >= BLOCK_BYTES:
                yield b"".join(pending)
                pending, pending_bytes = [], 0
    except FileProblemError:
        if pending:
            yield b"".join(pending)
        raise
    if pending:
        yield b"".join(pending)


def _opened(stream: "io.BufferedReader[BlockStream]", ending: str) -> gzip.GzipFile | ZstdFile:
    if ending == "gz":
        return gzip.GzipFile(fileobj=stream, mode="rb")
    return ZstdFile(stream, "rb")


def refuse_bomb(*, taken: int, made: int) -> None:
    """Refuses data of which much more was made than was taken.

    Args:
        taken: Compressed bytes so far.
        made: Bytes made of them so far.

    Raises:
        FileProblemError: compression_bomb.
    """
    if made > BOMB_BYTES_MIN and made > BOMB_RATIO * taken:
        raise FileProblemError(
            "compression_bomb",
            f"{taken:,} compressed bytes became {made:,}, more than {BOMB_RATIO} times as many: "
            "ask the producer what it is",
        )
