"""Tells the journal's files apart across rotation: by their first bytes, not by their names.

A log is rotated by renaming it, or by copying it and truncating the original; its name then belongs
to another file, and what was not yet read is in the renamed one. A file is the one that was read
before when its first bytes are the same, it is not shorter than what was read, and the bytes just
before that position are the same. Anything else is read from its beginning: lines that come again
change nothing, lines that are skipped are lost.
"""

import gzip
import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# The first line that ends after so many bytes is in the fingerprint: it has a time and a payment.
HEAD_BYTES_MIN: Final = 64
HEAD_BYTES_MAX: Final = 1024
TAIL_BYTES: Final = 256
# Of a name: gate.ndjson, gate.ndjson.1, gate.ndjson-20261120, each also with .gz.
NAME: Final = re.compile(
    r"(?P<base>[^.].*\.(ndjson|jsonl))(?P<rotation>[.-][0-9]{1,14})?(?P<gzip>\.gz)?"
)
UNFINISHED: Final = (".tmp", ".part")
_DIGEST_CHARACTERS: Final = 16


class DamagedFileError(Exception):
    """A compressed file that cannot be read to its end."""


@dataclass
class State:
    """How far a file was read.

    Attributes:
        offset: Bytes read; of a compressed file, of its content.
        lines: Lines read.
        size: Size when it was looked at last.
        written: When it was written, as the store says it; '' when it does not.
        head: Length and digest of its first bytes.
        tail: Digest of the bytes before the offset.
        is_whole: Whether a compressed file was read to its end.
    """

    offset: int = 0
    lines: int = 0
    size: int = 0
    written: str = ""
    head: tuple[int, str] = (0, "")
    tail: str = ""
    is_whole: bool = False

    def to_json(self) -> list[Any]:
        """Returns the state as the cursor has it."""
        return [
            self.offset, self.lines, self.size, self.written, *self.head, self.tail, self.is_whole
        ]  # fmt: skip

    @classmethod
    def of(cls, value: Any) -> "State":
        """Returns a state of a cursor; the first version had offset, lines and size only."""
        if len(value) == 3:
            return cls(*value)
        offset, lines, size, written, length, digest, tail, is_whole = value
        return cls(offset, lines, size, written, (length, digest), tail, is_whole)


def base_name(name: str) -> str:
    """Returns the name that a file has before it is rotated."""
    match = NAME.fullmatch(name)
    return match["base"] if match else name


def is_compressed(name: str) -> bool:
    """Returns whether a file is compressed."""
    return name.endswith(".gz")


def digest(data: bytes) -> str:
    """Returns a short digest."""
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARACTERS]


def head_of(data: bytes) -> tuple[int, str]:
    """Returns length and digest of a file's fingerprint; `data` are its first bytes."""
    data = data[:HEAD_BYTES_MAX]
    end = data.find(b"\n", HEAD_BYTES_MIN) + 1
    length = end or len(data)
    return length, digest(data[:length])


def has_head(data: bytes, head: tuple[int, str]) -> bool:
    """Returns whether a file that begins with these bytes has a fingerprint."""
    length, expected = head
    return 0 < length <= len(data) and digest(data[:length]) == expected


def source_of(folder: str, name: str, head: tuple[int, str]) -> str:
    """Returns how a file is named in quarantine: the same before and after its rotation."""
    return f"{folder}/{base_name(name)}@{head[1][:8]}"


def earlier(states: Mapping[str, State], name: str, data: bytes) -> list[str]:
    """Returns under which names a file may have been read before, the likeliest first."""
    found = [each for each, state in states.items() if has_head(data, state.head)]
    return sorted(found, key=lambda each: (each != name, -states[each].offset, each))


def read_gzip(file: Any, start: int, length: int) -> tuple[bytes, bool]:
    """Reads part of a compressed file's content.

    Returns:
        The bytes, and whether the content ends with them.

    Raises:
        DamagedFileError: It is not gzip, or it is cut off.
    """
    try:
        with gzip.GzipFile(fileobj=file) as content:
            content.seek(start)
            data = content.read(length)
            return data, not content.read(1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedFileError(type(error).__name__) from error
