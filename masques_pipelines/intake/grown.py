"""Closes the entry of a half line when its file has grown and the line is whole.

A file that is read while it is uploaded ends in half a line, which goes to quarantine. When the
same path comes again with more, it has another name there (`path@…`), so the entry would stay open.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping

from masques_pipelines import quarantine
from masques_pipelines.intake.batches import StoredChunk
from masques_pipelines.landing.chunks import WRONG_FIELD_COUNT
from masques_pipelines.landing.file_log import FileResult
from masques_pipelines.landing.formats import format_of
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql


def close_half_lines(
    warehouse: Warehouse,
    result: FileResult,
    chunks: Iterable[StoredChunk],
    names: Mapping[str, str],
) -> None:
    """Closes the entries of earlier versions of a file that its lines of a batch complete.

    Of each earlier version only the last line in quarantine can be half a line.

    Args:
        warehouse: Where.
        result: The file, in the version that is being loaded.
        chunks: Its chunks of the batch.
        names: The SQL's names, of a batch whose repeats are known.
    """
    found = warehouse.rows(
        sql("intake/last_open_lines"),
        {"table_name": result.folder, "path": result.path, "source": result.source},
    )
    is_csv = (format_of(result.path) or ("",))[0] == "csv"
    completed = [
        (earlier, int(line_no))
        for earlier, line_no, reason, raw_hex in found
        if (line := _line_at(chunks, int(line_no))) is not None
        and _completes(line, bytes.fromhex(raw_hex), reason=reason, is_csv=is_csv)
    ]
    if not completed:
        return
    good = {
        int(line_no)
        for (line_no,) in warehouse.rows(
            sql("intake/good_lines_at").replace("/*lines*/", sql("intake/good_lines")),
            {**names, "source": result.source, "lines": [line_no for _, line_no in completed]},
        )
    }
    quarantine.close_entries(warehouse, result.folder, [key for key in completed if key[1] in good])


def _line_at(chunks: Iterable[StoredChunk], line_no: int) -> bytes | None:
    for chunk in chunks:
        if chunk.first_line <= line_no < chunk.first_line + chunk.lines and not chunk.problem:
            return chunk.data.split(b"\n")[line_no - chunk.first_line]
    return None


def _completes(line: bytes, half: bytes, *, reason: str, is_csv: bool) -> bool:
    """Says whether a line is what an earlier one was the beginning of."""
    if not is_csv:
        return line.startswith(half)
    if reason != WRONG_FIELD_COUNT:  # a record as JSON, whose last value was cut
        return line.startswith(half.removesuffix(b'"}'))
    values = [value for value in json.loads(line).values() if value]
    text = half.decode("utf-8", "replace")
    fields = [field for row in csv.reader(io.StringIO(text, newline="")) for field in row if field]
    shown = values[: len(fields)]
    return (
        0 < len(fields) == len(shown)
        and fields[:-1] == shown[:-1]
        and str(shown[-1]).startswith(fields[-1])
    )
