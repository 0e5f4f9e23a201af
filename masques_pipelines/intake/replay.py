"""Tries open entries of quarantine again: lines from quarantine, whole files from the landing zone.

Lines are loaded as those of files are, under their own file and line number, so that the entry of
each is closed or gets its new reason and one attempt more. A replay that was killed is started
again: a row that passes is loaded once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from masques_pipelines import quarantine
from masques_pipelines.intake.batches import Source
from masques_pipelines.intake.channels import FRAME, ONE_CHANNEL, Channels
from masques_pipelines.intake.loader import Loader
from masques_pipelines.intake.run import LEASE, load_files
from masques_pipelines.intake.tables import TABLES, IntakeTable, intake_table
from masques_pipelines.inventory.tables import BY_ASSET
from masques_pipelines.inventory.writes import counted
from masques_pipelines.landing.chunks import CHUNK_BYTES, CUTTING_PROBLEMS, Chunk
from masques_pipelines.landing.file_log import FileLog, FileResult
from masques_pipelines.landing.listing import list_folder
from masques_pipelines.landing.zone import Landing
from masques_pipelines.quarantine import Selection
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease

# Entries of one step: what Python holds of them at a time.
PAGE_ROWS: Final = 5_000


@dataclass
class Replay:
    """What a replay did.

    Attributes:
        tried: Entries that were loaded again, whole files among them.
        closed: Entries that are no longer open.
    """

    tried: int = 0
    closed: int = 0


def replay(
    warehouse: Warehouse,
    landing: Landing,
    selection: Selection,
    *,
    channels: Channels = ONE_CHANNEL,
) -> Replay:
    """Loads open entries again, of the tables that the landing zone feeds.

    A line whose channel may not write the table (any more) is left as it is.

    Raises:
        UnknownTableError: The landing zone does not feed the selection's table.
        LandingUnavailableError, LandingMissingError, IntakeIncompleteError, LeaseBusyError,
        WarehouseTransientError, WarehousePermanentError: as load_table.
    """
    done = Replay()
    tables = [intake_table(selection.table_name)] if selection.table_name else TABLES.values()
    with writer_lease(warehouse, LEASE) as lease:
        for table in tables:
            wanted = replace(selection, table_name=table.name, state=quarantine.OPEN)
            before = quarantine.count(warehouse, wanted)
            if before == 0:
                continue
            done.tried += before
            with counted(warehouse, BY_ASSET[table.name]):
                _replay_lines(warehouse, table, lease, wanted, channels)
            _replay_files(warehouse, landing, table, lease, wanted, channels=channels)
            done.closed += before - quarantine.count(warehouse, wanted)
    return done


def _replay_lines(
    warehouse: Warehouse,
    table: IntakeTable,
    lease: Lease,
    selection: Selection,
    channels: Channels,
) -> None:
    """Loads lines page by page, in the order of file and line."""
    after: tuple[str, int] = ("", 0)
    with warehouse.second_connection() as helper:
        while rows := warehouse.rows(
            quarantine.selecting("quarantine/lines"),
            selection.parameters(
                first_line=1, after_source=after[0], after_line=after[1], rows=PAGE_ROWS
            ),
        ):
            after = (rows[-1][0], int(rows[-1][1]))
            loader = Loader(warehouse, table, helper=helper, before_batch=lease.hold)
            for _ended in loader.load(_line_sources(table.name, rows, channels)):
                pass


def _line_sources(table: str, rows: list[tuple[Any, ...]], channels: Channels) -> Iterator[Source]:
    """Yields one source per file; each line keeps its number."""
    by_source: dict[str, list[Chunk]] = {}
    for source, line_no, reason, raw_hex in rows:
        if channels.name_of(source) != FRAME and channels.refusal(source, table):
            continue
        problem = reason if reason in CUTTING_PROBLEMS else ""
        chunk = Chunk(int(line_no), bytes.fromhex(raw_hex), problem)
        _append(by_source.setdefault(source, []), chunk)
    for source, chunks in by_source.items():
        # A second attempt: entries whose line is good now are closed.
        channel = channels.name_of(source)
        result = FileResult(table, source, "replay", source, channel, attempts=2)
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


def _replay_files(  # noqa: PLR0913 - what is replayed, from where, and as whose
    warehouse: Warehouse,
    landing: Landing,
    table: IntakeTable,
    lease: Lease,
    selection: Selection,
    *,
    channels: Channels,
) -> None:
    """Reads whole files again that are still in the landing zone."""
    failed = quarantine.failed_files(warehouse, selection)
    if not failed:
        return
    log = FileLog(warehouse, table.name)
    listed = list_folder(landing, table.name, within=channels.folders(table.name), settle_s=0)
    files = [file for file in listed.files if file.path in failed or log.source_of(file) in failed]
    load_files(warehouse, landing, table, files, log, lease=lease, channels=channels)
