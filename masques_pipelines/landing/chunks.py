"""Chunks: what a file is cut into on its way to the engine, and the limits that keep them bounded.

A file that is cut again gives the same lines with the same numbers; where it is cut may differ.
"""

import functools
import struct
from dataclasses import dataclass
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.warehouse.rowbinary import leb128, rowbinary_string

# A chunk is one row for the engine. Two threads hold one each, and parsing copies it several times.
CHUNK_BYTES: Final = 4 << 20
# A longer line is one bad row; quarantine keeps its beginning, the file has the rest.
LINE_BYTES_MAX: Final = 16 << 20
LONG_LINE_KEPT_BYTES: Final = 64 << 10
# The byte order mark that some producers begin a text with; it is not part of it.
BOM: Final = b"\xef\xbb\xbf"

# Reasons that are found while cutting, before the engine sees the row.
LINE_TOO_LONG: Final = "line_too_long"
WRONG_FIELD_COUNT: Final = "wrong_field_count"
CUTTING_PROBLEMS: Final = (LINE_TOO_LONG, WRONG_FIELD_COUNT)


class FileProblemError(PermanentError):
    """A file cannot be read to its end: the file as a whole goes to quarantine.

    Attributes:
        reason: Short and fixed, as in bad_compression.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Chunk:
    """Some lines of a file.

    Attributes:
        first_line: Number in the file of the first line, 1 and up.
        data: The lines of NDJSON, separated by line feeds, without the last line feed.
        problem: Why all of `data` is one bad row, '' for lines of NDJSON.
    """

    first_line: int
    data: bytes
    problem: str = ""

    @functools.cached_property
    def lines(self) -> int:
        """How many rows the engine makes of it."""
        return 1 if self.problem else self.data.count(b"\n") + 1

    @property
    def lines_sum(self) -> int:
        """The sum of the lines' numbers: with `lines` it shows whether each arrived, once."""
        return self.lines * self.first_line + self.lines * (self.lines - 1) // 2


def chunk_rows(chunk_no: int, source: str, channel: str, chunk: Chunk) -> tuple[bytes, bytes]:
    """Returns a chunk as one RowBinary row, in two pieces so that its data is not copied.

    Columns: chunk_no UInt32, source String, channel String, first_line UInt64, problem String,
    chunk String.
    """
    head = (
        struct.pack("<I", chunk_no)
        + rowbinary_string(source.encode())
        + rowbinary_string(channel.encode())
        + struct.pack("<Q", chunk.first_line)
        + rowbinary_string(chunk.problem.encode())
        + leb128(len(chunk.data))
    )
    return head, chunk.data
