"""Batches of lines into a table and into quarantine: the one way in, for every format and source.

Here: staging a batch, telling new rows from duplicates and conflicts, publishing, counting.
Not here: cutting files into lines (reading.py), what a line means (sql/transforms/intake/), and
which files are due (intake.py).
A re-run of a batch changes nothing: what the tables hold already is found by its key, and entries
of quarantine replace themselves. So a kill at any point is repaired by reading the file again.
"""

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from masques_pipelines.errors import PermanentError
from masques_pipelines.intake.chunks import Chunk, FileProblemError, chunk_rows, rowbinary_string
from masques_pipelines.intake.file_ledger import FAILED, FileResult
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.warehouse.sql_files import sql
from masques_pipelines.warehouse.warehouse import Warehouse

# The engine types a batch at once; Python keeps it until it is done, for the lines of conflicts.
BATCH_BYTES: Final = 64 << 20
BATCH_CHUNKS: Final = 1000
STAGE_ATTEMPTS: Final = 3
# One chunk a block: the engine's own block would hold the whole batch, several times over.
_STAGE_SETTINGS: Final = {"input_format_max_block_size_bytes": 1 << 20}


class IntakeIncompleteError(PermanentError):
    """The tables do not hold what was read: something else writes to them or removed rows."""


@dataclass
class Source:
    """One thing to load: its result, which is filled in, and its lines.

    Attributes:
        result: Folder, path and source are set by the caller; the counts by the loader.
        chunks: The lines. May raise FileProblemError: then the file as a whole is quarantined too.
        finish: Called after the last chunk, to complete the result (the file's hash).
    """

    result: FileResult
    chunks: Iterable[Chunk]
    finish: Callable[[FileResult], None] = lambda _result: None


@dataclass
class _Batch:
    """Chunks that are loaded together, and the sources that end with them."""

    chunks: list[tuple[Source, Chunk]] = field(default_factory=list)
    ended: list[Source] = field(default_factory=list)
    bytes: int = 0

    @property
    def is_full(self) -> bool:
        return self.bytes >= BATCH_BYTES or len(self.chunks) + len(self.ended) >= BATCH_CHUNKS


class Loader:
    """Loads sources into one table; use it for one run and from one thread.

    Attributes:
        reasons: Why rows went to quarantine, with how many did, over all batches.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        table: IntakeTable,
        *,
        before_batch: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes a loader.

        Args:
            warehouse: The target.
            table: The table.
            before_batch: Called before each batch is written: renews the lease.
        """
        self._warehouse = warehouse
        self._table = table
        self._before_batch = before_batch
        self.reasons: dict[str, int] = {}

    def load(self, sources: Iterable[Source]) -> Iterator[list[FileResult]]:
        """Loads sources and yields, after each batch, the results of those that ended with it.

        Raises:
            IntakeIncompleteError: The tables do not hold what was read.
            WarehouseTransientError, WarehousePermanentError: From the warehouse.
            LandingUnavailableError: From the source; the batches so far are loaded.
        """
        batch = _Batch()
        for source in sources:
            for chunk in self._chunks(source):
                batch.chunks.append((source, chunk))
                batch.bytes += len(chunk.data)
                if batch.is_full:
                    yield self._run(batch)
                    batch = _Batch()
            source.finish(source.result)
            batch.ended.append(source)
            if batch.is_full:
                yield self._run(batch)
                batch = _Batch()
        if batch.chunks or batch.ended:
            yield self._run(batch)

    def _chunks(self, source: Source) -> Iterator[Chunk]:
        """Yields a source's chunks; a problem of the whole file ends them and is noted."""
        try:
            yield from source.chunks
        except FileProblemError as problem:
            source.result.state = FAILED
            source.result.problem = f"{problem.reason}: {problem}"

    def _run(self, batch: _Batch) -> list[FileResult]:
        self._before_batch()
        self._empty()
        if batch.chunks:
            self._stage(batch)
            self._find_repeats()
            for name in self._table.publish:
                self._warehouse.command(sql(name))
            self._verify()
            self._quarantine(batch)
            self._count(batch)
        self._quarantine_files(batch)
        if batch.chunks:
            self._empty()
        return [source.result for source in batch.ended]

    def _empty(self) -> None:
        for name in (self._table.names["staged"], "intake_known", "intake_repeats"):
            self._warehouse.command(f"TRUNCATE TABLE masques_ops.{name}")

    def _stage(self, batch: _Batch) -> None:
        """Sends the batch. One that was sent twice may be there twice: then it is staged anew."""
        pieces: list[bytes] = []
        for number, (source, chunk) in enumerate(batch.chunks):
            pieces.extend(chunk_rows(number, source.result.source, chunk))
        wanted = sum(chunk.lines for _source, chunk in batch.chunks)
        lines = 0
        for _attempt in range(STAGE_ATTEMPTS):
            self._warehouse.insert_select(sql(self._table.stage), pieces, **_STAGE_SETTINGS)
            lines, distinct = self._row("queries/intake/staged_total")
            if lines == distinct == wanted:
                return
            self._empty()
        raise IntakeIncompleteError(
            f"masques_ops.{self._table.name}_staged held {lines} lines of a batch of {wanted}: "
            "another writer is at work; find and stop it, then run the intake again"
        )

    def _find_repeats(self) -> None:
        for name in ("find_known", "find_repeats"):
            self._warehouse.command(sql(f"transforms/intake/{name}"), self._names())

    def _verify(self) -> None:
        """Raises unless every good key of the batch is in the table, once."""
        keys, rows = self._row("queries/intake/published")
        if keys != rows:
            raise IntakeIncompleteError(
                f"{self._table.target} holds {rows} rows of the {keys} keys of a batch: another "
                "writer is at work or rows were removed; find and stop it, then run the intake "
                "again"
            )

    def _quarantine(self, batch: _Batch) -> None:
        reasons = self._warehouse.rows(sql("queries/intake/bad_reasons"), self._names())
        for reason, rows in reasons:
            self.reasons[reason] = self.reasons.get(reason, 0) + int(rows)
        if reasons:
            self._warehouse.command(
                sql("transforms/intake/quarantine_staged"),
                {**self._names(), "table_name": self._table.name},
            )
        conflicts = self._warehouse.rows(sql("queries/intake/conflicts"))
        if conflicts:
            reason = f"conflict:{self._table.key}"
            self.reasons[reason] = self.reasons.get(reason, 0) + len(conflicts)
            self._put(
                (source, int(line_no), reason, line)
                for source, line_no, line in _lines_at(batch, conflicts)
            )
        self._warehouse.command(
            sql("transforms/intake/resolve_quarantine"),
            {**self._names(), "table_name": self._table.name},
        )

    def _quarantine_files(self, batch: _Batch) -> None:
        """Puts files that could not be read to their end into quarantine, as line 0."""
        failed = [source.result for source in batch.ended if source.result.state == FAILED]
        for result in failed:
            reason = result.problem.split(":", 1)[0]
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if failed:
            self._put(
                (result.source, 0, result.problem.split(":", 1)[0], result.problem.encode())
                for result in failed
            )

    def _put(self, rows: Iterable[tuple[str, int, str, bytes]]) -> None:
        """Puts rows into quarantine that are not in the staged table: source, line, reason, raw."""
        table = rowbinary_string(self._table.name.encode())
        pieces = [
            table
            + rowbinary_string(source.encode())
            + struct.pack("<Q", line_no)
            + rowbinary_string(reason.encode())
            + rowbinary_string(raw)
            for source, line_no, reason, raw in rows
        ]
        self._warehouse.insert_select(sql("transforms/intake/quarantine_rows"), pieces)

    def _count(self, batch: _Batch) -> None:
        """Adds the batch's counts to the results of its sources."""
        results = {source.result.source: source.result for source, _chunk in batch.chunks}
        repeats = {
            source: (int(duplicates), int(conflicts))
            for source, duplicates, conflicts in self._warehouse.rows(
                sql("queries/intake/repeat_counts")
            )
        }
        counts = self._warehouse.records(sql("queries/intake/staged_counts"), self._names())
        for found in counts:
            result = results[found["source"]]
            duplicates, conflicts = repeats.get(found["source"], (0, 0))
            result.rows_read += int(found["rows_read"])
            result.blank += int(found["blank"])
            result.loaded += int(found["good"]) - duplicates - conflicts
            result.duplicates += duplicates
            result.conflicts += conflicts
            result.quarantined += int(found["bad"]) + conflicts
            result.unknown_fields += int(found["unknown_fields"])
            result.newest_ns = max(result.newest_ns, int(found["newest_ns"]))

    def _row(self, name: str) -> tuple[int, int]:
        first, second = self._warehouse.row(sql(name), self._names())
        return int(first), int(second)

    def _names(self) -> dict[str, str]:
        names = self._table.names
        return {"staged": names["staged"], "keys": names["keys"]}


def _lines_at(
    batch: _Batch, places: Iterable[tuple[int, int, str]]
) -> Iterator[tuple[str, int, bytes]]:
    """Yields source, number and text of lines of a batch, given chunk and line number in order."""
    split_no, lines = -1, []
    for chunk_no, line_no, source in places:
        chunk = batch.chunks[int(chunk_no)][1]
        if chunk_no != split_no:
            split_no, lines = int(chunk_no), chunk.data.split(b"\n")
        yield source, int(line_no), lines[int(line_no) - chunk.first_line]


def rows_per_s(rows: int, started_s: float) -> float:
    """Returns how many rows a second since a time of the monotonic clock."""
    return rows / max(time.monotonic() - started_s, 1e-6)
