"""Loads batches of lines into a table and into quarantine, for every format and source.

A batch is staged, compared with the table (new rows, duplicates, conflicts), published and counted.
Loading it again changes nothing: what the table holds already is found by its key, and entries of
quarantine replace themselves. So a kill at any point is repaired by reading the file again.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from masques_pipelines import quarantine
from masques_pipelines.errors import PermanentError
from masques_pipelines.intake.batches import Batch, Source, StoredChunk, gather
from masques_pipelines.intake.grown import close_half_lines
from masques_pipelines.intake.tables import IntakeTable
from masques_pipelines.landing.fields import Fields
from masques_pipelines.landing.file_log import FAILED, FileResult
from masques_pipelines.quarantine import WHOLE_FILE, Entry
from masques_pipelines.read_ahead import read_ahead
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

# While a batch is published the next one is parsed, and the one after that is read.
BATCHES_AHEAD: Final = 1
STAGE_ATTEMPTS: Final = 3
# One chunk a block: the engine's own block would hold the whole batch, several times over.
_SETTINGS: Final = {"input_format_max_block_size_bytes": 1 << 20}

# Merges remove what is there twice; doing it at once takes as long as writing.
_CLAIM_SETTINGS: Final = {"optimize_on_insert": 0}

_EMPTY: Final = "TRUNCATE TABLE masques_ops.{table:Identifier}"
_NOW_MS: Final = "SELECT toUnixTimestamp64Milli(now64(3))"
_KNOWN_TOTAL: Final = "SELECT uniqExact(row_key) FROM masques_ops.intake_known"
_CANDIDATES_TOTAL: Final = "SELECT count() FROM masques_ops.intake_candidates"
_STAGED_TOTAL: Final = "SELECT count() FROM masques_ops.{staged:Identifier}"
_CONFLICTS: Final = """
SELECT DISTINCT chunk_no, line_no, source
FROM masques_ops.intake_repeats
WHERE verdict = 'conflict'
ORDER BY chunk_no, line_no"""


class IntakeIncompleteError(PermanentError):
    """The tables do not hold what was read: something else writes to them or removed rows."""


class _Counted(NamedTuple):
    """How many lines of a file have a reason, by sql/intake/staged_counts.sql."""

    source: str
    reason: str
    lines: int
    lines_sum: int
    unknown_fields: int
    newest_ns: int
    keys: int

    @property
    def is_bad(self) -> bool:
        return self.reason not in ("", "blank")


@dataclass(frozen=True)
class _Staged:
    """The counts of a staged batch, by file and reason."""

    counts: list[_Counted]

    @property
    def lines(self) -> int:
        return sum(one.lines for one in self.counts)

    @property
    def lines_sum(self) -> int:
        return sum(one.lines_sum for one in self.counts)

    @property
    def good(self) -> int:
        return sum(one.lines for one in self.counts if not one.reason)

    @property
    def bad(self) -> list[_Counted]:
        return [one for one in self.counts if one.is_bad]

    @property
    def keys(self) -> int:
        """Different keys of the good rows."""
        return self.counts[0].keys if self.counts else 0


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
        before: tuple[Batch, _Staged | None] | None = None
        with (
            contextlib.ExitStack() as spools,
            ThreadPoolExecutor(1) as beside,
            contextlib.closing(
                read_ahead(
                    gather(sources, lambda: spools.enter_context(self._helper.spool())),
                    items_max=BATCHES_AHEAD,
                )
            ) as batches,
        ):
            for number, batch in enumerate(batches):
                batch.names = {
                    "staged": self._table.staged[number % 2],
                    "keys": f"{self._table.name}_keys",
                    "key_times": self._table.key_times,
                    "event_time": self._table.event_time,
                    "table_name": self._table.name,
                }
                if before is not None and self._table.reads_loaded:
                    yield self._finish(*before)
                    before = None
                staging = beside.submit(self._stage, batch)
                if before is not None:
                    yield self._finish(*before)
                before = (batch, staging.result())
            if before is not None:
                yield self._finish(*before)

    def _finish(self, batch: Batch, staged: _Staged | None) -> list[FileResult]:
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
                self._quarantine_bad(batch, staged)
            if has_repeats:
                self._quarantine_conflicts(batch)
            if any(chunk.source.result.attempts > 1 for chunk in batch.chunks):
                self._close_lines(batch)
            self._close_half_lines(batch)
            self._count(batch, staged, rows_there)
            _empty(self._warehouse, batch.names["staged"])
        batch.rows.close()
        self._close_files(batch)
        return [source.result for source in batch.ended]

    def _stage(self, batch: Batch) -> _Staged | None:
        """Parses a batch into its staged table; returns None when it has no lines.

        A batch that was sent twice may be there twice: then it is staged again from the start.
        """
        if not batch.chunks:
            return None
        for _attempt in range(STAGE_ATTEMPTS):
            _empty(self._helper, batch.names["staged"])
            self._helper.insert_spooled(
                self._table.stage_sql,
                batch.rows,
                {**batch.names, "fields": self._fields},
                **_SETTINGS,
            )
            counts = self._helper.rows(sql("intake/staged_counts"), batch.names)
            staged = _Staged([_Counted(*one) for one in counts])
            if (staged.lines, staged.lines_sum) == (batch.lines, batch.lines_sum):
                return staged
        raise IntakeIncompleteError(
            f"masques_ops.{batch.names['staged']} did not hold the {batch.lines} lines of a batch: "
            "another writer is running; find and stop it, then run the intake again"
        )

    def _find_known(self, batch: Batch) -> int:
        """Looks up the keys of a batch and returns how many of them the table has already.

        A key that was written for a row that never was is not known: only the row tells.
        """
        _empty(self._warehouse, "intake_candidates", "intake_known", "intake_repeats")
        self._warehouse.command(sql("intake/find_candidates"), batch.names)
        if not int(self._warehouse.scalar(_CANDIDATES_TOTAL)):
            return 0
        self._warehouse.command(sql("intake/find_known"), batch.names)
        return int(self._warehouse.scalar(_KNOWN_TOTAL))

    def _publish(self, batch: Batch, since_ms: int) -> None:
        """Writes the keys of the rows that are new, and then the rows.

        In this order a kill between the two leaves keys without rows, and never a row without its
        key, which would be loaded again.
        """
        self._warehouse.command(sql("intake/claim_keys"), batch.names, **_CLAIM_SETTINGS)
        for database, table in self._table.kept_in:
            self._warehouse.command(
                sql("intake/publish"),
                {**batch.names, "database": database, "table": table, "since_ms": since_ms},
            )

    def _verify(self, batch: Batch, since_ms: int, *, new_keys: int) -> None:
        """Raises unless every new key of the batch is in the table, once.

        Mostly the rows that came are exactly those of the batch, which sums tell. Otherwise the
        rows are looked up by their keys: on a server others may write to the table, too.
        """
        gained, wanted = self._warehouse.row(
            sql("intake/gained"), {**batch.names, "since_ms": since_ms}
        )
        if gained == wanted and wanted[0] == new_keys:
            return
        rows, keys = self._warehouse.row(
            sql("intake/published"), {**batch.names, "since_ms": since_ms}
        )
        if not rows == keys == new_keys:
            raise IntakeIncompleteError(
                f"{self._table.target} holds {rows} rows of the {new_keys} new "
                "keys of a batch: another writer is running, rows were removed, or the server's "
                "clock was set back; find and stop it, then run the intake again"
            )

    def _quarantine_bad(self, batch: Batch, staged: _Staged) -> None:
        for one in staged.bad:
            self._add_reason(one.reason, one.lines)
        quarantine.put_selected(
            self._warehouse,
            self._table.name,
            sql("intake/bad_lines"),
            batch.names,
            sources={one.source for one in staged.bad},
        )

    def _quarantine_conflicts(self, batch: Batch) -> None:
        conflicts = self._warehouse.rows(_CONFLICTS)
        if not conflicts:
            return
        reason = f"conflict:{self._table.key}"
        self._add_reason(reason, len(conflicts))
        found = [
            Entry(source, line_no, reason, line)
            for source, line_no, line in batch.lines_at(conflicts)
        ]
        quarantine.put(self._warehouse, self._table.name, found)

    def _close_lines(self, batch: Batch) -> None:
        """Closes entries of quarantine whose line is good now."""
        quarantine.close_selected(
            self._warehouse, self._table.name, sql("intake/good_lines"), batch.names
        )

    def _close_half_lines(self, batch: Batch) -> None:
        """Closes entries of earlier versions of a file that has grown."""
        grown: dict[str, tuple[FileResult, list[StoredChunk]]] = {}
        for chunk in batch.chunks:
            result = chunk.source.result
            if result.source != result.path:
                grown.setdefault(result.source, (result, []))[1].append(chunk)
        for result, chunks in grown.values():
            close_half_lines(self._warehouse, result, chunks, batch.names)

    def _close_files(self, batch: Batch) -> None:
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

    def _count(self, batch: Batch, staged: _Staged, rows_there: int) -> None:
        """Adds the batch's counts to the results of its sources.

        They come from tables in memory, which a restart of a server empties: so the rows staged
        must be there still, and the rows loaded must be those that the table gained.
        """
        repeats = {
            source: (int(duplicates), int(conflicts))
            for source, duplicates, conflicts in self._warehouse.rows(sql("intake/repeat_counts"))
        }
        repeated = sum(map(sum, repeats.values()))
        if (
            self._warehouse.scalar(_STAGED_TOTAL, batch.names) != staged.lines
            or staged.good - repeated != staged.keys - rows_there
        ):
            raise IntakeIncompleteError(
                f"masques_ops.{batch.names['staged']} lost rows of a batch: the server was "
                "restarted, or another writer is running; run the intake again"
            )
        results = {chunk.source.result.source: chunk.source.result for chunk in batch.chunks}
        for source, (duplicates, conflicts) in repeats.items():
            result = results[source]
            result.loaded -= duplicates + conflicts
            result.duplicates += duplicates
            result.conflicts += conflicts
            result.quarantined += conflicts
        for one in staged.counts:
            _add(results[one.source], one)


def _add(result: FileResult, found: _Counted) -> None:
    """Adds the lines of one reason to the result of their file."""
    result.rows_read += found.lines
    result.unknown_fields += found.unknown_fields
    if found.is_bad:
        result.quarantined += found.lines
    elif found.reason:
        result.blank += found.lines
    else:
        result.loaded += found.lines
        result.newest_ns = max(result.newest_ns, found.newest_ns)


def _empty(warehouse: Warehouse, *names: str) -> None:
    for name in names:
        warehouse.command(_EMPTY, {"table": name})
