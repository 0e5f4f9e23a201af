"""Quarantine: rows and files that could not be loaded, kept until they are replayed or discarded.

An entry is identified by its table, source and line. Putting it again keeps when it was first seen,
counts one more attempt, and leaves a discarded entry discarded. Every statement may be sent twice:
then `attempts` may be one too high, and nothing else differs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.rowbinary import leb128, rowbinary_string
from masques_pipelines.warehouse.sql import sql

OPEN: Final = "open"
REPLAYED: Final = "replayed"
DISCARDED: Final = "discarded"
STATES: Final = (OPEN, REPLAYED, DISCARDED)
# The line number of a file as a whole.
WHOLE_FILE: Final = 0
# What to do about the entries of tables that no replay of the intake loads, by table.
REMEDIES: Final = {
    "settlements": (
        "`masques rails replay` reads them again, after a token was added or the node answers; "
        "what it cannot find again a rail reads after `masques rails rewind`: then `masques intake "
        "quarantine discard --table settlements`"
    ),
    "exchange_rates": (
        "correct the file in exchange_rates/: the next run of the scores reads it again and closes "
        "the entries of the rows that are good then"
    ),
}

_ENTRIES: Final = """SELECT source, line_no, reason, raw
    FROM input('source String, line_no UInt64, reason String, raw String')"""
_COUNT: Final = "SELECT count() FROM (/*selected*/)"
_SOURCES: Final = "SELECT DISTINCT source FROM (/*selected*/)"
_FILES: Final = "SELECT source FROM (/*selected*/) WHERE line_no = 0"
# A file that came again under the same path has a tag behind its path.
_FILES_OF_PATHS: Final = """SELECT source, line_no
        FROM masques_ops.quarantine FINAL
        WHERE table_name = {table_name:String} AND line_no = 0
            AND replaceRegexpOne(source, '@[0-9a-f]{8}$', '') IN {paths:Array(String)}"""
_GIVEN_LINES: Final = """SELECT source, line_no
        FROM masques_ops.quarantine FINAL
        WHERE table_name = {table_name:String} AND (source, line_no) IN
            (SELECT arrayJoin(arrayZip({sources:Array(String)}, {lines:Array(UInt64)})))"""
_OTHER_LINES: Final = """SELECT source, line_no
        FROM masques_ops.quarantine FINAL
        WHERE table_name = {table_name:String} AND source = {source:String}
            AND line_no NOT IN {bad_lines:Array(UInt64)}"""


@dataclass(frozen=True)
class Entry:
    """One row or file to put into quarantine.

    Attributes:
        source: The file, or what else brought it: enough to find it again.
        line_no: Its line there, 1 and up; WHOLE_FILE for a file as a whole.
        reason: `kind` or `kind:field`.
        raw: The row as it came, without secrets; of a whole file, what is wrong with it.
    """

    source: str
    line_no: int
    reason: str
    raw: bytes


@dataclass(frozen=True)
class Selection:
    """Which entries are meant; '' for all.

    Attributes:
        table_name: The table that they were meant for.
        reason: A reason as it is listed, or its kind: `bad_uuid` for all of `bad_uuid:<field>`.
        source: A file as it is listed.
        state: One of STATES.
        source_prefix: How the files begin.
    """

    table_name: str = ""
    reason: str = ""
    source: str = ""
    state: str = OPEN
    source_prefix: str = ""

    def parameters(self, **others: Any) -> dict[str, Any]:
        """Returns the parameters of the statements in sql/quarantine/ that read a selection."""
        return {**asdict(self), **others}


def put(warehouse: Warehouse, table_name: str, entries: Iterable[Entry]) -> None:
    """Puts entries into quarantine.

    Args:
        warehouse: Where.
        table_name: The table that they were meant for, without its database.
        entries: The entries; none is fine.
    """
    found = list(entries)
    if not found:
        return
    warehouse.insert_select(
        sql("quarantine/put").replace("/*rows*/", _ENTRIES),
        [_rowbinary(entry) for entry in found],
        {"table_name": table_name, "sources": sorted({entry.source for entry in found})},
    )


def put_selected(
    warehouse: Warehouse,
    table_name: str,
    rows: str,
    parameters: Mapping[str, Any],
    *,
    sources: Iterable[str],
) -> None:
    """Puts rows into quarantine that a table of the warehouse holds.

    Args:
        warehouse: Where.
        table_name: The table that they were meant for, without its database.
        rows: A SELECT of source, line_no, reason and raw.
        parameters: Of that SELECT.
        sources: The sources that it may name.
    """
    warehouse.command(
        sql("quarantine/put").replace("/*rows*/", rows),
        {**parameters, "table_name": table_name, "sources": sorted(sources)},
    )


def close_selected(
    warehouse: Warehouse, table_name: str, lines: str, parameters: Mapping[str, Any]
) -> None:
    """Closes the open entries of some lines, as replayed.

    Args:
        warehouse: Where.
        table_name: The table that they were meant for.
        lines: A SELECT of source and line_no.
        parameters: Of that SELECT.
    """
    warehouse.command(
        sql("quarantine/close").replace("/*lines*/", lines),
        {**parameters, "table_name": table_name},
    )


def close_files(warehouse: Warehouse, table_name: str, paths: Iterable[str]) -> None:
    """Closes the entries of whole files, in whatever version they came under these paths."""
    close_selected(warehouse, table_name, _FILES_OF_PATHS, {"paths": sorted(paths)})


def close_entries(warehouse: Warehouse, table_name: str, keys: Iterable[tuple[str, int]]) -> None:
    """Closes the open entries with these sources and lines."""
    found = list(keys)
    if found:
        lines = {"sources": [key[0] for key in found], "lines": [key[1] for key in found]}
        close_selected(warehouse, table_name, _GIVEN_LINES, lines)


def close_lines(
    warehouse: Warehouse, table_name: str, source: str, *, bad_lines: Iterable[int]
) -> None:
    """Closes the entries of a file that was read again, but for the lines that are still bad."""
    parameters = {"source": source, "bad_lines": sorted(bad_lines)}
    close_selected(warehouse, table_name, _OTHER_LINES, parameters)


def summary(warehouse: Warehouse, selection: Selection) -> list[dict[str, Any]]:
    """Returns entries by table and reason: table_name, reason, state, rows, oldest, attempts."""
    return warehouse.records(selecting("quarantine/summary"), selection.parameters())


def entries(warehouse: Warehouse, selection: Selection, *, limit: int) -> list[dict[str, Any]]:
    """Returns entries: table_name, source, line_no, reason, raw, first_seen, attempts, state.

    Bytes of `raw` that are not valid UTF-8 are shown as U+FFFD; quarantine keeps them as they came.
    """
    return warehouse.records(selecting("quarantine/entries"), selection.parameters(rows=limit))


def count(warehouse: Warehouse, selection: Selection) -> int:
    """Returns how many entries are selected."""
    return int(warehouse.scalar(_with_selection(_COUNT), selection.parameters()))


def open_sources(warehouse: Warehouse, table_name: str) -> set[str]:
    """Returns the sources that have open entries of a table."""
    rows = warehouse.rows(_with_selection(_SOURCES), Selection(table_name).parameters())
    return {source for (source,) in rows}


def failed_files(warehouse: Warehouse, selection: Selection) -> set[str]:
    """Returns the sources of the selected entries that are whole files."""
    rows = warehouse.rows(_with_selection(_FILES), selection.parameters())
    return {source for (source,) in rows}


def discard(warehouse: Warehouse, selection: Selection) -> int:
    """Discards the selected entries and returns how many; discarding again changes nothing."""
    found = count(warehouse, selection)
    if found:
        warehouse.command(selecting("quarantine/discard"), selection.parameters())
    return found


def selecting(name: str) -> str:
    """Returns a statement of sql/quarantine/ with the selection in its place."""
    return _with_selection(sql(name))


def _with_selection(text: str) -> str:
    return text.replace("/*selected*/", sql("quarantine/selected"))


def _rowbinary(entry: Entry) -> tuple[bytes, ...]:
    return (
        rowbinary_string(entry.source.encode()),
        entry.line_no.to_bytes(8, "little"),
        rowbinary_string(entry.reason.encode()),
        leb128(len(entry.raw)),
        entry.raw,
    )
