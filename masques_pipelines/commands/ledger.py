"""`masques ledger`: work on the ledger that needs no Dagster run.

A capture is never overwritten: `capture` needs a new folder. `rebuild` starts over each time and
ends with the same rows.
"""

import re
from pathlib import Path

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.ledger.capture.writer import write_capture
from masques_pipelines.ledger.chart import read_chart
from masques_pipelines.ledger.connect import open_ledger
from masques_pipelines.ledger.month import Month
from masques_pipelines.ledger.restore import restore_accounts, restore_transactions
from masques_pipelines.sandbox.stand_ins import ledger_url, prepare_sources


@click.group()
def ledger() -> None:
    """Read the TigerBeetle ledger; nothing here writes to it."""


@ledger.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--url", help="The ledger to read; MASQUES_LEDGER_URL when it is not given.")
def capture(folder: Path, url: str | None) -> None:
    """Write all change events, accounts and transfers of the ledger into FOLDER.

    The result is read by MASQUES_LEDGER_URL=capture:///absolute/folder: for tests, for showing a
    fault to somebody else, for keeping.
    """
    settings = command_settings()
    if url is None:
        prepare_sources(settings)
    with open_ledger(url or ledger_url(settings)) as source:
        summary = write_capture(source, folder)
    click.echo(
        f"wrote {summary.folder}: {summary.change_events:,} change events, "
        f"{summary.accounts:,} accounts, {summary.transfers:,} transfers, "
        f"up to ledger time {summary.ledger_time_ns}"
    )
    if not summary.is_exact:
        click.echo(
            "the ledger was written to while its accounts were read: accounts_read_at in meta.json "
            "has the ledger time of each",
            err=True,
        )


def _month(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Month | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a month: write it as 2026-11")
    return Month(int(match[1]), int(match[2]))


def _show(put_right: tuple[str, ...]) -> None:
    for line in put_right:
        click.echo(f"put right, and no longer a finding: {line}")


@ledger.command()
@click.option("--ledger", "ledger_number", type=int, help="Only months with events of this ledger.")
@click.option("--month", callback=_month, help="Only this month, as in 2026-11.")
@click.option("--accounts", is_flag=True, help="The accounts, and no transactions.")
def rebuild(ledger_number: int | None, month: Month | None, *, accounts: bool) -> None:
    """Write transactions from the ledger again and swap them in, month by month.

    For when the chart has learned or renamed a ledger or a code, or a month was lost or damaged.
    With --accounts: for when accounts are there that the ledger does not have.
    """
    if accounts + (ledger_number is not None) + (month is not None) > 1:
        raise click.UsageError("give one of --ledger, --month and --accounts, not both")
    settings = command_settings()
    with (
        opened_warehouse(settings, "ledger rebuild", writes=True) as warehouse,
        open_ledger(ledger_url(settings)) as source,
    ):
        chart = read_chart(settings.ledger_chart)
        if accounts:
            count, accepted = restore_accounts(warehouse, source, chart)
            click.echo(f"{count:,} accounts swapped in; now run: masques verify --full")
            _show(accepted)
            return
        done, accepted = restore_transactions(
            warehouse, source, chart, ledger=ledger_number, month=month
        )
    for each, what in done.items():
        click.echo(f"{each}: {what}")
    rows = sum(what.rows for what in done.values())
    click.echo(f"{len(done)} months, {rows:,} rows; now run: masques verify --full")
    _show(accepted)
