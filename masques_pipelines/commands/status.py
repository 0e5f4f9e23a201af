"""`masques status`: the morning in fifteen lines: right, stuck, at risk, stale?"""

import itertools
from collections.abc import Iterator

import click

from masques_pipelines.ages import age, duration
from masques_pipelines.alerts.book import Book, read_book
from masques_pipelines.commands.dagster_home import dagster_home
from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.doctor.around import utc_now
from masques_pipelines.doctor.inside import read_lags, read_stuck
from masques_pipelines.settings import environment
from masques_pipelines.verification.passes import read_passes
from masques_pipelines.warehouse.client import Warehouse
from masques_pipelines.warehouse.sql import sql

_FAULTS_SHOWN = 6


@click.command(short_help="Say in some lines whether the copy is right, stuck or stale.")
@click.pass_context
def status(context: click.Context) -> None:
    """Say in some lines whether the copy is right, and what is stuck or stale.

    It reads what checks and runs found, and proves nothing itself: masques verify does. Exits with
    1 when an error is open.
    """
    settings = command_settings()
    book = read_book(dagster_home(environment()))
    with opened_warehouse(settings, "status") as warehouse:
        for line in itertools.chain(
            _right(warehouse, book), _at_risk(warehouse), _stuck(warehouse), _stale(warehouse)
        ):
            click.echo(line)
    context.exit(1 if any(each.fault.severity == "error" for each in book.open.values()) else 0)


def _right(warehouse: Warehouse, book: Book) -> Iterator[str]:
    now = utc_now()
    if book.looked_at is None:
        yield "right?   nobody looked: the daemon never ran in this home (masques dev)"
    elif not book.open:
        yield f"right?   no fault is open; looked {age(book.looked_at, now)}"
    else:
        yield f"right?   {len(book.open)} faults are open; looked {age(book.looked_at, now)}"
    for known in list(book.open.values())[:_FAULTS_SHOWN]:
        fault = known.fault
        yield (
            f"         {fault.severity}: {fault.title}, {age(known.first_seen, now)}; "
            f"masques runbook {fault.entry}"
        )
    if len(book.open) > _FAULTS_SHOWN:
        yield f"         and {len(book.open) - _FAULTS_SHOWN} more: masques doctor"
    yield f"proved?  {read_passes(warehouse).text}"


def _at_risk(warehouse: Warehouse) -> Iterator[str]:
    breaks, without_note, critical, usd, unpriced = warehouse.row(sql("doctor/at_risk"))
    if not breaks:
        yield "at risk? no break is open"
        return
    more = f", {int(unpriced):,} of them without a rate" if unpriced else ""
    yield (
        f"at risk? {usd} USD in {int(breaks):,} open breaks{more}; {int(critical):,} critical, "
        f"{int(without_note):,} without a note (masques breaks list)"
    )


def _stuck(warehouse: Warehouse) -> Iterator[str]:
    stuck = read_stuck(warehouse)
    yield (
        f"stuck?   {stuck['payments_open']:,} payments are open (masques rails status); of "
        f"{stuck['holds_open']:,} open holds {stuck['holds_overdue']:,} are overdue; "
        f"{stuck['quarantined']:,} rows in quarantine"
    )


def _stale(warehouse: Warehouse) -> Iterator[str]:
    read = read_lags(warehouse)
    parts = [
        f"{source} {'never' if lag_s is None else duration(lag_s)}"
        for source, lag_s in read.items()
    ]
    yield f"stale?   {', '.join(parts[:5])}"
    for start in range(5, len(parts), 5):
        yield f"         {', '.join(parts[start : start + 5])}"
