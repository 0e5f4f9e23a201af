"""`masques ledger`: work on the ledger that needs no Dagster run.

Here: the command group.
Not here: reading a ledger (ledger/).
A re-run of `capture` needs a new folder: a capture is never overwritten.
"""

from pathlib import Path

import click

from masques_pipelines.ledger.capture_writer import write_capture
from masques_pipelines.ledger.packaged import ledger_url
from masques_pipelines.ledger.sources.opening import open_ledger
from masques_pipelines.settings import read_settings


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
    with open_ledger(url or ledger_url(read_settings())) as source:
        summary = write_capture(
            source, folder, progress=lambda what, count: click.echo(f"{what}: {count:,}", err=True)
        )
    click.echo(
        f"wrote {summary.folder}: {summary.change_events:,} change events, "
        f"{summary.accounts:,} accounts, {summary.transfers:,} transfers, "
        f"up to ledger time {summary.ledger_time_ns}"
    )
    if not summary.is_exact:
        click.echo(
            "the ledger was written to while its accounts were read: accounts_read_at in meta.json "
            "says at which time each of them held",
            err=True,
        )
