"""The rows that could not be loaded: looking at them, trying them again, giving them up.

Here: what `masques intake quarantine` does.
Not here: how rows get into quarantine (loading.py) and why (sql/intake/).
A re-run of a replay tries what is still open; a row that passes is loaded once, whatever runs
before it was. Discarding again changes nothing.

A replay sends the lines of quarantine through the same door as those of files, under their own file
and line number, so that the entry of each is closed or gets its new reason and one attempt more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from masques_pipelines.intake.loader import Loader, Source
from masques_pipelines.intake.run import LEASE, IntakeResult, load_files
from masques_pipelines.intake.tables import TABLES, intake_table
from masques_pipelines.landing.chunks import CHUNK_BYTES, CUTTING_PROBLEMS, Chunk
from masques_pipelines.landing.file_log import FileResult, known_files
from masques_pipelines.landing.zone import Landing, settled_files
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

OPEN: Final = "open"
STATES: Final = (OPEN, "replayed", "discarded")
# Entries of one replay step: what Python holds of them at a time.
PAGE_ROWS: Final = 5_000


@dataclass(frozen=True)
class Selection:
    """Which entries are meant; '' for all.

    Attributes:
        table: A table of the landing zone.
        reason: A reason as it is listed, or its kind: `bad_uuid` for all of `bad_uuid:<field>`.
        source: A file as it is listed.
        state: open, replayed or discarded.
    """

    table: str = ""
    reason: str = ""
    source: str = ""
    state: str = OPEN

    def parameters(self) -> dict[str, Any]:
        """Returns the parameters of the statements below sql/intake/.

        Raises:
            UnknownTableError: There is no such table.
        """
        if self.table:
            intake_table(self.table)
        return {
            "table_name": self.table,
            "reason": self.reason,
            "source": self.source,
            "state": self.state,
        }


@dataclass
class Replay:
    """What a replay did.

    Attributes:
        tried: Entries that were sent through again, whole files among them.
        closed: Entries that are open no more.
    """

    tried: int = 0
    closed: int = 0


def summary(warehouse: Warehouse, selection: Selection) -> list[dict[str, Any]]:
    """Returns entries by table and reason: table_name, reason, state, rows, oldest, attempts."""
    return warehouse.records(sql("intake/quarantine_summary"), selection.parameters())


def entries(warehouse: Warehouse, selection: Selection, *, limit: int) -> list[dict[str, Any]]:
    """Returns entries: table_name, source, line_no, reason, raw, first_seen, attempts, state.

    Bytes of `raw` that are no UTF-8 are shown as U+FFFD; quarantine keeps them as they came.
    """
    return warehouse.records(
        sql("intake/quarantine_entries"), {**selection.parameters(), "rows": limit}
    )


def discard(warehouse: Warehouse, selection: Selection) -> int:
    """Gives up open entries and returns how many; they stay, as discarded."""
    count = _count(warehouse, selection)
    if count:
        warehouse.command(sql("intake/discard_quarantine"), selection.parameters())
    return count


def replay(warehouse: Warehouse, landing: Landing, selection: Selection) -> Replay:
    """Tries open entries again: lines from quarantine, whole files from the landing zone.

    Raises:
        LandingUnavailableError, IntakeIncompleteError, LeaseBusyError, WarehouseTransientError,
        WarehousePermanentError: as load_table.
    """
    done = Replay()
    names = [selection.table] if selection.table else list(TABLES)
    with writer_lease(warehouse, LEASE) as lease:
        for name in names:
            wanted = Selection(name, selection.reason, selection.source)
            before = _count(warehouse, wanted)
            if before == 0:
                continue
            done.tried += before
            _replay_lines(warehouse, lease, wanted)
            _replay_files(warehouse, landing, lease, wanted)
            done.closed += before - _count(warehouse, wanted)
    return done


def _replay_lines(warehouse: Warehouse, lease: Lease, selection: Selection) -> None:
    """Sends lines through the loader, page by page in the order of file and line."""
    table = intake_table(selection.table)
    after: tuple[str, int] = ("", 0)
    with warehouse.second_connection() as helper:
        while True:
            rows = warehouse.rows(
                sql("intake/quarantine_lines"),
                {
                    **selection.parameters(),
                    "after_source": after[0],
                    "after_line": after[1],
                    "rows": PAGE_ROWS,
                },
            )
            if not rows:
                return
            after = (rows[-1][0], int(rows[-1][1]))
            loader = Loader(warehouse, table, helper=helper, before_batch=lease.hold)
            for _ended in loader.load(_line_sources(table.name, rows)):
                pass


def _line_sources(folder: str, rows: list[tuple[Any, ...]]) -> Iterator[Source]:
    """One source per file; each line is a chunk of its own and keeps its number."""
    by_source: dict[str, list[Chunk]] = {}
    for source, line_no, reason, raw_hex in rows:
        problem = reason if reason in CUTTING_PROBLEMS else ""
        chunk = Chunk(int(line_no), bytes.fromhex(raw_hex), problem)
        _append(by_source.setdefault(source, []), chunk)
    for source, chunks in by_source.items():
        # A second attempt: entries whose line is good now are closed.
        result = FileResult(folder, source, "replay", source, attempts=2)
        yield Source(result, chunks, is_whole_file=False)


def _append(chunks: list[Chunk], chunk: Chunk) -> None:
    """Adds a line, joined to the chunk before it when it is the next line of the file."""
    last = chunks[-1] if chunks else None
    if (
        last is None
        or last.problem
        or chunk.problem
        or b"\n" in chunk.data
        or last.first_line + last.lines != chunk.first_line
        or len(last.data) > CHUNK_BYTES
    ):
        chunks.append(chunk)
    else:
        chunks[-1] = Chunk(last.first_line, last.data + b"\n" + chunk.data)


def _replay_files(
    warehouse: Warehouse, landing: Landing, lease: Lease, selection: Selection
) -> IntakeResult | None:
    """Reads whole files again that are still in the landing zone."""
    failed = {
        source
        for (source,) in warehouse.rows(sql("intake/quarantine_files"), selection.parameters())
    }
    if not failed:
        return None
    table = intake_table(selection.table)
    known = known_files(warehouse, table.name)
    files = [
        file
        for file in settled_files(landing, table.name, settle_s=0)
        if file.path in failed or known.source_of(file) in failed
    ]
    return load_files(warehouse, landing, table, files, known, lease=lease)


def _count(warehouse: Warehouse, selection: Selection) -> int:
    return int(warehouse.scalar(sql("intake/quarantine_count"), selection.parameters()))
