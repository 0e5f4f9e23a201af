"""`masques backup`: writes the whole warehouse to a new place."""

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.schema.declared import DATABASES
from masques_pipelines.verification.writers import WRITERS
from masques_pipelines.warehouse.backup import back_up


@click.command(short_help="Write the whole warehouse to a new folder.")
@click.argument("to")
def backup(to: str) -> None:
    """Write all rows and definitions of the warehouse to TO.

    TO is a new folder, or for a server disk://NAME/folder on one of its disks. It holds what no
    source gives again: decisions on quarantine, seals, the history of scores, versions of models
    and rates. The landing zone and Dagster's history of runs are not in it.
    """
    with opened_warehouse(command_settings(), "backup", needs_schema=False) as warehouse:
        made = back_up(warehouse, to, DATABASES, WRITERS)
    click.echo(f"wrote {made.place}: {made.files:,} files, {made.size_bytes / 1e6:,.1f} MB")
