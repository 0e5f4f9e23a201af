"""Fills masques.transactions from the ledger's change events.

A sync resumes at the newest row that is not an expiry. What is there already is dropped by its
time, so a run that was killed anywhere, or an insert that was sent twice, leaves no trace. Against
a server the lease keeps a second writer out; embedded, the warehouse's lock does.

The cursor's rules are in reader.py, the meaning of the bytes in write_transactions.sql.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from masques_pipelines.errors import PermanentError
from masques_pipelines.ledger.binding import bind_ledger
from masques_pipelines.ledger.chart import Chart, load_chart
from masques_pipelines.ledger.reader import BATCH_EVENTS, BATCHES_AHEAD, EventReader
from masques_pipelines.ledger.records import (
    Records,
    TimestampsNs,
    by_month,
    timestamps_ns,
)
from masques_pipelines.ledger.seals import Seal, Sealer, newest_seal, write_seals
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.read_ahead import read_ahead
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

# Whoever writes masques.transactions holds this lease.
LEASE: Final = "ledger"
# Skip indexes are built when parts merge: while a part is one batch, reading it whole is as quick.
# One thread, one part.
INSERT_SETTINGS: Final = {"materialize_skip_indexes_on_insert": 0, "max_insert_threads": 1}
# A write of seals costs 10 ms, a tenth of a batch. After a kill, so many batches are read again.
SEALS_AT_ONCE: Final = 8
PROGRESS_EVERY_S: Final = 5.0
# The table drops rows after 7 years; one day less than that is surely still there.
_RETENTION: Final = timedelta(days=7 * 365 - 1)
_TOTAL: Final = (
    "SELECT count() AS total, toUnixTimestamp64Nano(max(timestamp)) AS newest_ns "
    "FROM masques.transactions"
)

logger = logging.getLogger(__name__)


class SyncIncompleteError(PermanentError):
    """The table does not hold what was read: something else writes to it or removed rows."""


class RebuildError(PermanentError):
    """Rows cannot be written from the ledger again; they are as they were."""


@dataclass(frozen=True)
class EventTimes:
    """A set of event times in three numbers, as sql/ledger/events_after.sql gives them.

    Attributes:
        events: How many.
        times_sum: Sum of the times in nanoseconds, modulo 2^64.
        squares_sum: Sum of their squares, modulo 2^64.
    """

    events: int = 0
    times_sum: int = 0
    squares_sum: int = 0

    def with_more(self, times_ns: TimestampsNs, *, after_ns: int) -> "EventTimes":
        """Returns the set with those of the times that are later than after_ns."""
        times = times_ns[times_ns > np.uint64(after_ns)]
        return EventTimes(
            self.events + len(times),
            (self.times_sum + int(times.sum(dtype=np.uint64))) % 2**64,
            (self.squares_sum + int((times * times).sum(dtype=np.uint64))) % 2**64,
        )


@dataclass(frozen=True)
class TransactionsSync:
    """How one sync went.

    Attributes:
        rows_written: Events that were not there before.
        rows_total: Events in the table now.
        events_read: Events that the ledger returned, trailing expiries of the last run among them.
        pages: Replies of the ledger.
        watermark_ns: Ledger time up to which the table is complete, nanoseconds since 1970.
        newest_event_ns: Ledger time of the newest event, 0 when there is none.
        lag_s: Seconds from watermark_ns to now, by this machine's clock; below 0 when the ledger's
            clock is ahead of it.
        seal: Digest that covers all up to the newest transfer; "" when nothing is sealed.
        seal_sequence: Number of the seal with that digest; 0 when nothing is sealed.
        duration_s: How long it took.
    """

    rows_written: int
    rows_total: int
    events_read: int
    pages: int
    watermark_ns: int
    newest_event_ns: int
    seal: str
    seal_sequence: int
    lag_s: float
    duration_s: float

    @property
    def rows_per_s(self) -> float:
        """Events read and inserted per second."""
        return self.events_read / self.duration_s if self.duration_s else 0.0


def sync_transactions(
    warehouse: Warehouse,
    source: LedgerSource,
    chart: Chart,
    *,
    batch_events: int = BATCH_EVENTS,
) -> TransactionsSync:
    """Brings masques.transactions up to the ledger's newest event.

    Args:
        warehouse: The target; nothing else may write to it meanwhile.
        source: The ledger.
        chart: What its numbers mean.
        batch_events: Events per insert: the control of memory.

    Raises:
        LedgerBindingError: The warehouse is a copy of another ledger.
        ChartError: The chart contradicts the one that rows were written with.
        SyncIncompleteError: The table does not hold exactly what was read.
        LeaseBusyError, LeaseLostError: Another process writes to the same server.
        LedgerUnavailableError, LedgerRefusedError, PageError: From the source.
        WarehouseTransientError, WarehousePermanentError: From the warehouse.
    """
    with writer_lease(warehouse, LEASE) as lease:
        return _sync(warehouse, source, chart, lease, batch_events=batch_events)


def _sync(
    warehouse: Warehouse,
    source: LedgerSource,
    chart: Chart,
    lease: Lease,
    *,
    batch_events: int,
) -> TransactionsSync:
    started_s = time.monotonic()
    words = chart.parameters(load_chart(warehouse, chart))
    bind_ledger(warehouse, source)
    sealer = Sealer(newest_seal(warehouse))
    # What was written and not sealed is read again; what is there already is dropped.
    cursor_ns = min(read_cursor(warehouse), sealer.sealed_to_ns)
    total_before, _ = _total(warehouse)
    progress = _Progress(cursor_ns=cursor_ns)
    events_read = pages = watermark_ns = 0
    recent = EventTimes()
    unwritten: list[Seal] = []
    horizon_ns = retention_horizon_ns()
    reader = EventReader(source, cursor_ns=cursor_ns)
    # Sealing is done ahead too, by the thread that waits for the ledger.
    for batch, seals in read_ahead(
        sealer.sealed(reader.batches(batch_events)), items_max=BATCHES_AHEAD
    ):
        insert_events(warehouse, lease, words, batch.events)
        unwritten += seals
        if batch.is_last or len(unwritten) >= SEALS_AT_ONCE:
            write_seals(warehouse, unwritten)
            unwritten.clear()
        events_read += len(batch.events)
        recent = recent.with_more(timestamps_ns(batch.events), after_ns=horizon_ns)
        pages += batch.pages
        watermark_ns = batch.ledger_time_ns
        if len(batch.events):
            progress.add(batch.events, ledger_time_ns=batch.ledger_time_ns)
    _verify(warehouse, after_ns=max(cursor_ns, horizon_ns), expected=recent)
    rows_total, newest_event_ns = _total(warehouse)
    done = TransactionsSync(
        rows_written=rows_total - total_before,
        rows_total=rows_total,
        events_read=events_read,
        pages=pages,
        watermark_ns=watermark_ns,
        newest_event_ns=newest_event_ns,
        lag_s=time.time() - watermark_ns / 1e9,
        seal=sealer.digest,
        seal_sequence=sealer.sequence,
        duration_s=time.monotonic() - started_s,
    )
    _record(warehouse, source, done)
    return done


def insert_events(
    warehouse: Warehouse,
    lease: Lease,
    words: Mapping[str, Any],
    events: Records,
    *,
    table: str = "masques.transactions",
) -> None:
    """Writes events (EVENT_DTYPE) into a table, a part a month.

    Args:
        warehouse: The target.
        lease: Held by the caller.
        words: The parameters of the chart that is loaded.
        events: In any order of months.
        table: Of the form of masques.transactions.
    """
    database, _, name = table.partition(".")
    for piece in by_month(events):
        times = timestamps_ns(piece)
        lease.hold()
        warehouse.insert_select(
            sql("ledger/write_transactions"),
            [[piece.view(np.uint8).data]],
            {
                "database": database,
                "table": name,
                "from_ns": int(times.min()),
                "to_ns": int(times.max()),
                **words,
            },
            **INSERT_SETTINGS,
            **lease.insert_settings,
        )


def retention_horizon_ns() -> int:
    """Returns a time after which no row was removed for its age, nanoseconds since 1970."""
    return int((datetime.now(UTC) - _RETENTION).timestamp()) * 10**9


def read_cursor(warehouse: Warehouse) -> int:
    """Returns the time of the newest event that is not an expiry, nanoseconds; 0 for none."""
    rows = warehouse.rows(sql("ledger/cursor"))
    return int(rows[0][0]) if rows else 0


def _verify(warehouse: Warehouse, *, after_ns: int, expected: EventTimes) -> None:
    """Raises unless the table holds, after the cursor, exactly the events that were read."""
    row = warehouse.row(sql("ledger/events_after"), {"after_ns": after_ns})
    held = EventTimes(*map(int, row))
    if held != expected:
        raise SyncIncompleteError(
            f"masques.transactions holds {held.events:,} rows after {after_ns}, and they are not "
            f"the {expected.events:,} events that the ledger has there: another process writes to "
            "it or rows were removed; find and stop it, then run the sync again"
        )


def _record(warehouse: Warehouse, source: LedgerSource, done: TransactionsSync) -> None:
    """Records how far the table is complete: proofs go no further."""
    warehouse.insert_rows(
        "masques_ops.ledger_syncs",
        [
            "watermark_ns",
            "newest_event_ns",
            "events_read",
            "rows_written",
            "rows_total",
            "source",
            "recorded_at",
        ],
        [
            [
                done.watermark_ns,
                done.newest_event_ns,
                done.events_read,
                done.rows_written,
                done.rows_total,
                source.description,
                datetime.now(UTC),
            ]
        ],
    )


def _total(warehouse: Warehouse) -> tuple[int, int]:
    total, newest_ns = warehouse.row(_TOTAL)
    return int(total), int(newest_ns) if total else 0


class _Progress:
    """Logs every few seconds how far a long back-fill is."""

    def __init__(self, *, cursor_ns: int) -> None:
        self._started_s = self._logged_s = time.monotonic()
        self._first_ns = cursor_ns
        self._events = 0

    def add(self, events: Records, *, ledger_time_ns: int) -> None:
        self._events += len(events)
        times = timestamps_ns(events)
        self._first_ns = self._first_ns or int(times[0])
        now_s = time.monotonic()
        if now_s - self._logged_s < PROGRESS_EVERY_S:
            return
        self._logged_s = now_s
        elapsed_s = now_s - self._started_s
        done_ns, left_ns = int(times[-1]) - self._first_ns, ledger_time_ns - int(times[-1])
        left_s = elapsed_s * left_ns / done_ns if done_ns > 0 else 0.0
        logger.info(
            "%s events, %s per s, %s s of ledger time behind, about %s s left",
            f"{self._events:,}",
            f"{self._events / elapsed_s:,.0f}",
            f"{left_ns / 1e9:,.0f}",
            f"{left_s:,.0f}",
        )
