"""Rebuilds months of masques.transactions from the ledger and swaps each in as a whole.

For when the chart has learned a ledger or a code whose rows are there already, or a month was lost
or damaged. Balances need none of it: the next sync of accounts writes what has another currency
now.

A re-run starts over: rows are written to masques_ops.transactions_rebuilt until a month is
complete, and then replace the month's old rows in one step. Seals stay: they are of what the ledger
sent.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from masques_pipelines.ledger.binding import bind_ledger
from masques_pipelines.ledger.chart import Chart, load_chart
from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.reader import BATCH_EVENTS, BATCHES_AHEAD, EventReader
from masques_pipelines.ledger.records import Records, timestamps_ns
from masques_pipelines.ledger.source import LedgerSource
from masques_pipelines.ledger.transactions import (
    LEASE,
    RebuildError,
    insert_events,
    retention_horizon_ns,
)
from masques_pipelines.read_ahead import read_ahead
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.lease import Lease, writer_lease
from masques_pipelines.warehouse.sql import sql

REBUILT: Final = "masques_ops.transactions_rebuilt"
_EMPTY_REBUILT: Final = "TRUNCATE TABLE masques_ops.transactions_rebuilt"
_MONTHS_OF_LEDGER: Final = (
    "SELECT DISTINCT toYYYYMM(timestamp) AS month FROM masques.transactions "
    "WHERE ledger = {ledger:UInt32} ORDER BY month"
)
_MONTHS_THERE: Final = "SELECT DISTINCT toYYYYMM(timestamp) FROM masques.transactions"
_ROWS_THERE: Final = (
    "SELECT count() FROM masques.transactions WHERE toYYYYMM(timestamp) = {month:UInt32}"
)
# No sealed batch has events of two months.
_SEALED_EVENTS: Final = (
    "SELECT sum(events) FROM masques_ops.ledger_seals FINAL "
    "WHERE to_ns >= {start_ns:UInt64} AND to_ns < {end_ns:UInt64}"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MonthRebuilt:
    """What a rebuild did with a month.

    Attributes:
        outcome: "swapped in"; "no events", of the ledger and of the table; "dropped", for rows
            that the ledger never sent; or "past retention", where the rows stay as they are.
        rows: Rows that are there now.
        rows_before: Rows that were there before.
    """

    outcome: Literal["swapped in", "no events", "dropped", "past retention"]
    rows: int
    rows_before: int

    def __str__(self) -> str:
        if self.outcome == "no events":
            return "no events, nothing to do"
        if self.outcome == "past retention":
            return f"its events are past retention, {self.rows:,} rows stay as they are"
        if self.outcome == "dropped":
            return f"the ledger has no event, {self.rows_before:,} rows that it never sent dropped"
        return f"{self.rows:,} rows swapped in for {self.rows_before:,}"


def rebuild_transactions(
    warehouse: Warehouse,
    source: LedgerSource,
    chart: Chart,
    *,
    ledger: int | None = None,
    month: Month | None = None,
) -> dict[Month, MonthRebuilt]:
    """Writes rows from the ledger again and swaps them in, month by month.

    Args:
        warehouse: The target; nothing else may write to it meanwhile.
        source: The ledger that it is a copy of.
        chart: What its numbers mean now.
        ledger: Only the months that have events of this ledger.
        month: Only this month.

    Returns:
        What was done with each month.

    Raises:
        RebuildError: The ledger holds fewer events of a month than were synced, or the month that
            was asked for is none of its time.
        As sync_transactions.
    """
    with writer_lease(warehouse, LEASE) as lease:
        words = chart.parameters(load_chart(warehouse, chart))
        bind_ledger(warehouse, source)
        first_ns, newest_ns = map(int, warehouse.row(sql("ledger/span_known")))
        known = sorted({*_months_there(warehouse), *_months_between(first_ns, newest_ns)})
        if month and month not in known:
            raise RebuildError(f"{month}: there is nothing of it: {_span_text(known)}")
        due = [month] if month else _months_of(warehouse, ledger) if ledger else known
        done: dict[Month, MonthRebuilt] = {}
        for one in due:
            done[one] = _rebuild(warehouse, source, words, lease, one, newest_ns=newest_ns)
            logger.info("%s: %s", one, done[one])
    return done


def _months_of(warehouse: Warehouse, ledger: int) -> list[Month]:
    rows = warehouse.rows(_MONTHS_OF_LEDGER, {"ledger": ledger})
    return [Month.of_partition(int(partition)) for (partition,) in rows]


def _months_there(warehouse: Warehouse) -> list[Month]:
    return [Month.of_partition(int(month)) for (month,) in warehouse.rows(_MONTHS_THERE)]


def _months_between(first_ns: int, newest_ns: int) -> list[Month]:
    if newest_ns == 0:
        return []
    months, last = [Month.of(first_ns)], Month.of(newest_ns)
    while months[-1] != last:
        months.append(months[-1].following)
    return months


def _span_text(months: list[Month]) -> str:
    return f"give a month from {months[0]} to {months[-1]}" if months else "sync the ledger first"


def _rebuild(  # noqa: PLR0913 - what rebuild_transactions was given, the lease and the month
    warehouse: Warehouse,
    source: LedgerSource,
    words: Mapping[str, Any],
    lease: Lease,
    month: Month,
    *,
    newest_ns: int,
) -> MonthRebuilt:
    """Rebuilds one month up to the newest event known: what is newer is the sync's to write."""
    before = int(warehouse.scalar(_ROWS_THERE, {"month": month.partition}))
    warehouse.command(_EMPTY_REBUILT)
    end_ns = min(month.following.start_ns, newest_ns + 1)
    horizon_ns = retention_horizon_ns()
    read = expected = 0
    for events in _events(source, month.start_ns, end_ns):
        insert_events(warehouse, lease, words, events, table=REBUILT)
        read += len(events)
        expected += int((timestamps_ns(events) > horizon_ns).sum())
    sealed = int(warehouse.scalar(_SEALED_EVENTS, {"start_ns": month.start_ns, "end_ns": end_ns}))
    if read < sealed:
        raise RebuildError(
            f"{month}: {source.description} has {read:,} events, and at least {sealed:,} were "
            "synced: this ledger has lost some; the rows stay as they are"
        )
    rows, times = warehouse.row(sql("ledger/rebuilt_rows"), {"horizon_ns": horizon_ns})
    if not rows == times == expected:
        raise RebuildError(
            f"{month}: {expected:,} events were read and {rows:,} rows with {times:,} times came "
            "of them: another process writes to it; the rows stay as they are"
        )
    if not rows:  # an empty table never replaces a partition
        return _without_rows(warehouse, lease, month, before=before, read=read)
    lease.hold()
    warehouse.command(
        f"ALTER TABLE masques.transactions REPLACE PARTITION {month.partition} "
        "FROM masques_ops.transactions_rebuilt"
    )
    warehouse.command(_EMPTY_REBUILT)
    return MonthRebuilt("swapped in", rows=int(rows), rows_before=before)


def _without_rows(
    warehouse: Warehouse, lease: Lease, month: Month, *, before: int, read: int
) -> MonthRebuilt:
    """Ends a month of which nothing is to be kept: drops what no ledger sent."""
    if read:
        return MonthRebuilt("past retention", rows=before, rows_before=before)
    if not before:
        return MonthRebuilt("no events", rows=0, rows_before=0)
    lease.hold()
    warehouse.command(f"ALTER TABLE masques.transactions DROP PARTITION {month.partition}")
    return MonthRebuilt("dropped", rows=0, rows_before=before)


def _events(source: LedgerSource, start_ns: int, end_ns: int) -> Iterator[Records]:
    """Yields the ledger's events from start_ns to before end_ns."""
    if start_ns >= end_ns:
        return
    batches = read_ahead(
        EventReader(source, cursor_ns=start_ns - 1).batches(BATCH_EVENTS),
        items_max=BATCHES_AHEAD,
    )
    for batch in batches:
        times = timestamps_ns(batch.events)
        yield batch.events[times < end_ns]
        # Batches ascend but for late imports, which come before the next transfer.
        if len(times) and int(times.min()) >= end_ns:
            break
