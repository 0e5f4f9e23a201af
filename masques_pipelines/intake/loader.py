"""Loads batches of lines into a table and into quarantine, for every format and source.

A batch is staged, compared with the table (new rows, duplicates, conflicts), published and counted.
Loading it again changes nothing: what the table holds already is found by its key, and entries of
quarantine replace themselves. So a kill at any point is repaired by reading the file again.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from masques_pipelines import quarantine
from masques_pipelines.errors import PermanentError
from masques_pipelines.intake.grown import close_half_lines
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.landing.chunks import Chunk, FileProblemError, chunk_rows
from masques_pipelines.landing.fields import Fields
from masques_pipelines.landing.file_log import FAILED, FileResult
from masques_pipelines.quarantine import WHOLE_FILE, Entry
from masques_pipelines.read_ahead import read_ahead
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# The engine parses a batch at once; Python keeps it until it is done, for the lines of conflicts.
# Meanwhile the next one is parsed, and the one after that is read.
BATCH_BYTES: Final = 64 << 20
BATCH_CHUNKS: Final = 1000
BATCHES_AHEAD: Final = 1
STAGE_ATTEMPTS: Final = 3
# One chunk a block: the engine's own block would hold the whole batch, several times over.
_SETTINGS: Final = {"input_format_max_block_size_bytes": 1 << 20}

_EMPTY: Final = "TRUNCATE TABLE masques_ops.{table:Identifier}"
_NOW_MS: Final = "SELECT toUnixTimestamp64Milli(now64(3))"
_KNOWN_TOTAL: Final = "SELECT uniqExact(row_key) FROM masques_ops.intake_known"
_CANDIDATES_TOTAL: Final = "SELECT count() FROM masques_ops.intake_candidates"
_BAD_REASONS: Final = """
SELECT reason, count(), groupUniqArray(source)
FROM masques_ops.{staged:Identifier}
WHERE reason NOT IN ('', 'blank')
GROUP BY reason"""
_CONFLICTS: Final = """
SELECT DISTINCT chunk_no, line_no, source
FROM masques_ops.intake_repeats
WHERE verdict = 'conflict'
ORDER BY chunk_no, line_no"""


class IntakeIncompleteError(PermanentError):
    """The tables do not hold what was read: something else writes to them or removed rows."""


@dataclass
class Source:
    """One thing to load: its result, which is filled in, and its lines.

    Attributes:
        result: The caller sets folder, path, source and channel; the loader the counts.
        chunks: The lines. May raise FileProblemError: then the file as a whole is quarantined too.
        finish: Called after the last chunk, to complete the result (the file's hash).
        is_whole_file: False for single lines, which do not show that the file can be read.
    """

    result: FileResult
    chunks: Iterable[Chunk]
    finish: Callable[[FileResult], None] = lambda _result: None
    is_whole_file: bool = True


@dataclass
class _Batch:
    """Chunks that are loaded together, the sources that end with them, and the SQL's names."""

    chunks: list[tuple[Source, Chunk]] = field(default_factory=list)
    ended: list[Source] = field(default_factory=list)
    bytes: int = 0
    names: dict[str, str] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return self.bytes >= BATCH_BYTES or len(self.chunks) + len(self.ended) >= BATCH_CHUNKS


class _Staged(NamedTuple):
    """The counts of a staged batch, by sql/intake/staged_total.sql."""

    lines: int
    lines_sum: int
    bad: int
    good: int
    keys: int


class Loader:
    """Loads sources into one table, for one run and from one thread.

    Attributes:
        fields: The fields of the table's rows.
        reasons: Why rows went to quarantine, with how many did, over all batches.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        table: IntakeTable,
        *,
        helper: Warehouse,
        before_batch: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes a loader.

        Args:
            warehouse: The target.
            table: The table.
            helper: A second connection to it, which parses and stages the next batch.
            before_batch: Called before each batch is written: renews the lease.
        """
        self._warehouse = warehouse
        self._helper = helper
        self._table = table
        self._before_batch = before_batch
        found = warehouse.rows(sql("intake/fields"), {"staged": table.staged[0]})
        self._fields = [name for (name,) in found]
        self.fields = Fields(table.key, frozenset(self._fields))
        self.reasons: dict[str, int] = {}

    def load(self, sources: Iterable[Source]) -> Iterator[list[FileResult]]:
        """Loads sources and yields, after each batch, the results of those that ended with it.

        Raises:
            IntakeIncompleteError: The tables do not hold what was read.
            WarehouseTransientError, WarehousePermanentError: From the warehouse.
            LandingUnavailableError, LandingMissingError: From the source; the batches so far are
                loaded.
        """
        before: tuple[_Batch, _Staged | None] | None = None
        with (
            ThreadPoolExecutor(1) as beside,
            contextlib.closing(read_ahead(_batches(sources), items_max=BATCHES_AHEAD)) as batches,
        ):
            for number, batch in enumerate(batches):
                batch.names = {
                    "staged": self._table.staged[number % 2],
                    "keys": f"{self._table.name}_keys",
                    "key_times": self._table.key_times,
                    "event_time": self._table.event_time,
                    "table_name": self._table.name,
                }
                staging = beside.submit(self._stage, batch)
                if before is not None:
                    yield self._finish(*before)
                before = (batch, staging.result())
        if before is not None:
            yield self._finish(*before)

    def _finish(self, batch: _Batch, staged: _Staged | None) -> list[FileResult]:
        """Publishes a staged batch and counts what became of its lines."""
        self._before_batch()
        if staged is not None:
            since_ms = int(self._warehouse.scalar(_NOW_MS))
            rows_there = self._find_known(batch)
            has_repeats = staged.keys < staged.good or rows_there > 0
            if has_repeats:
                self._warehouse.command(sql("intake/find_repeats"), batch.names)
            self._publish(batch, since_ms)
            self._verify(batch, since_ms, new_keys=staged.keys - rows_there)
            if staged.bad:
                self._quarantine_bad(batch)
            if has_repeats:
                self._quarantine_conflicts(batch)
            if any(source.result.attempts > 1 for source, _chunk in batch.chunks):
                self._close_lines(batch)
            self._close_half_lines(batch)
            self._count(batch, staged, rows_there)
            _empty(self._warehouse, batch.names["staged"])
        self._close_files(batch)
        return [source.result for source in batch.ended]

    def _stage(self, batch: _Batch) -> _Staged | None:
        """Parses a batch into its staged table; returns None when it has no lines.

        A batch that was sent twice may be there twice: then it is staged again from the start.
        """
        if not batch.chunks:
            return None
        rows = [
            chunk_rows(number, source.result.source, source.result.channel, chunk)
            for number, (source, chunk) in enumerate(batch.chunks)
        ]
        chunks = [chunk for _source, chunk in batch.chunks]
        wanted = sum(chunk.lines for chunk in chunks), sum(chunk.lines_sum for chunk in chunks)
        for _attempt in range(STAGE_ATTEMPTS):
            _empty(self._helper, batch.names["staged"])
            self._helper.insert_select(
                self._table.stage_sql, rows, {**batch.names, "fields": self._fields}, **_SETTINGS
            )
            staged = _Staged(*self._helper.row(sql("intake/staged_total"), batch.names))
            if (staged.lines, staged.lines_sum) == wanted:
                return staged
        raise IntakeIncompleteError(
            f"masques_ops.{batch.names['staged']} did not hold the {wanted[0]} lines of a batch: "
            "another writer is running; find and stop it, then run the intake again"
        )

    def _find_known(self, batch: _Batch) -> int:
        """Looks up the keys of a batch and returns how many of them the table has already.

        A key that was written for a row that never was is not known: only the row tells.
        """
        _empty(self._warehouse, "intake_candidates", "intake_known", "intake_repeats")
        self._warehouse.command(sql("intake/find_candidates"), batch.names)
        if not int(self._warehouse.scalar(_CANDIDATES_TOTAL)):
            return 0
        self._warehouse.command(sql("intake/find_known"), batch.names)
        return int(self._warehouse.scalar(_KNOWN_TOTAL))

    def _publish(self, batch: _Batch, since_ms: int) -> None:
        """Writes the keys of the rows that are new, and then the rows.

        In this order a kill between the two leaves keys without rows, and never a row without its
        key, which would be loaded again.
        """
        self._warehouse.command(sql("intake/claim_keys"), batch.names)
        for database, table in self._table.kept_in:
            self._warehouse.command(
                sql("intake/publish"),
                {**batch.names, "database": database, "table": table, "since_ms": since_ms},
            )

    def _verify(self, batch: _Batch, since_ms: int, *, new_keys: int) -> None:
        """Raises unless every new key of the batch is in the table, once."""
        rows, keys = self._warehouse.row(
            sql("intake/published"), {**batch.names, "since_ms": since_ms}
        )
        if not rows == keys == new_keys:
            raise IntakeIncompleteError(
                f"{self._table.target} holds {rows} rows of the {new_keys} new "
                "keys of a batch: another writer is running, rows were removed, or the server's "
                "clock was set back; find and stop it, then run the intake again"
            )

    def _quarantine_bad(self, batch: _Batch) -> None:
        sources: set[str] = set()
        for reason, rows, found_in in self._warehouse.rows(_BAD_REASONS, batch.names):
            self._add_reason(reason, int(rows))
            sources.update(found_in)
        quarantine.put_selected(
            self._warehouse, self._table.name, sql("intake/bad_lines"), batch.names, sources=sources
        )

    def _quarantine_conflicts(self, batch: _Batch) -> None:
        conflicts = self._warehouse.rows(_CONFLICTS)
        if not conflicts:
            return
        reason = f"conflict:{self._table.key}"
        self._add_reason(reason, len(conflicts))
        found = [
            Entry(source, line_no, reason, line)
            for source, line_no, line in _lines_at(batch, conflicts)
        ]
        quarantine.put(self._warehouse, self._table.name, found)

    def _close_lines(self, batch: _Batch) -> None:
        """Closes entries of quarantine whose line is good now."""
        quarantine.close_selected(
            self._warehouse, self._table.name, sql("intake/good_lines"), batch.names
        )

    def _close_half_lines(self, batch: _Batch) -> None:
        """Closes entries of earlier versions of a file that has grown."""
        grown: dict[str, tuple[FileResult, list[Chunk]]] = {}
        for source, chunk in batch.chunks:
            if source.result.source != source.result.path:
                grown.setdefault(source.result.source, (source.result, []))[1].append(chunk)
        for result, chunks in grown.values():
            close_half_lines(self._warehouse, result, chunks, batch.names)

    def _close_files(self, batch: _Batch) -> None:
        """Puts files that could not be read to their end into quarantine.

        Closes the entry of a file that is whole now, or came again whole under the same path.
        """
        whole = [
            source.result
            for source in batch.ended
            if source.is_whole_file and source.result.state != FAILED
        ]
        again = [one.path for one in whole if one.attempts > 1 or one.source != one.path]
        if again:
            quarantine.close_files(self._warehouse, self._table.name, again)
        failed = []
        for result in (source.result for source in batch.ended):
            if result.state == FAILED:
                reason, _colon, text = result.problem.partition(": ")
                self._add_reason(reason, 1)
                failed.append(Entry(result.source, WHOLE_FILE, reason, text.encode()))
        quarantine.put(self._warehouse, self._table.name, failed)

    def _add_reason(self, reason: str, rows: int) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + rows

    def _count(self, batch: _Batch, staged: _Staged, rows_there: int) -> None:
        """Adds the batch's counts to the results of its sources.

        They come from tables in memory, which a restart of a server empties: so the rows read must
        be those sent, and the rows loaded must be those that the table gained.
        """
        results = {source.result.source: source.result for source, _chunk in batch.chunks}
        repeats = {
            source: (int(duplicates), int(conflicts))
            for source, duplicates, conflicts in self._warehouse.rows(sql("intake/repeat_counts"))
        }
        counts = self._warehouse.records(sql("intake/staged_counts"), batch.names)
        good, repeated = sum(int(one["good"]) for one in counts), sum(map(sum, repeats.values()))
        if (
            sum(int(one["rows_read"]) for one in counts) != staged.lines
            or good - repeated != staged.keys - rows_there
        ):
            raise IntakeIncompleteError(
                f"masques_ops.{batch.names['staged']} lost rows of a batch: the server was "
                "restarted, or another writer is running; run the intake again"
            )
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


def _empty(warehouse: Warehouse, *names: str) -> None:
    for name in names:
        warehouse.command(_EMPTY, {"table": name})


def _batches(sources: Iterable[Source]) -> Iterator[_Batch]:
    """Gathers sources into batches; a source may span several."""
    batch = _Batch()
    for source in sources:
        for chunk in _chunks(source):
            batch.chunks.append((source, chunk))
            batch.bytes += len(chunk.data)
            if batch.is_full:
                yield batch
                batch = _Batch()
        source.finish(source.result)
        batch.ended.append(source)
        if batch.is_full:
            yield batch
            batch = _Batch()
    if batch.chunks or batch.ended:
        yield batch


def _chunks(source: Source) -> Iterator[Chunk]:
    """Yields a source's chunks; a problem of the whole file ends them and is noted."""
    try:
        yield from source.chunks
    except FileProblemError as problem:
        source.result.state = FAILED
        source.result.problem = f"{problem.reason}: {problem}"


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
