"""`masques restore`: makes the warehouse as a backup holds it."""

from dataclasses import replace
from urllib.parse import quote

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import COMMAND_LOCK_TIMEOUT_S, opened_warehouse
from masques_pipelines.sandbox.stamp import check_stamp
from masques_pipelines.sandbox.stand_ins import prepare
from masques_pipelines.schema.declared import DATABASES
from masques_pipelines.schema.migrations import SCORES_VIEW, make_plan
from masques_pipelines.settings import Settings
from masques_pipelines.warehouse.backup import BackupError, check_empty, restore_databases
from masques_pipelines.warehouse.client import Origin, Warehouse
from masques_pipelines.warehouse.connect import embedded_folder, open_warehouse
from masques_pipelines.warehouse.embedded import replacing


@click.command(short_help="Make the warehouse as a backup holds it.")
@click.argument("place", metavar="FROM")
def restore(place: str) -> None:
    """Make the warehouse as the backup FROM holds it; nothing may be in it yet.

    FROM is what `masques backup` was given. Stopped half-way, the embedded warehouse is as it was
    before.
    """
    settings = command_settings()
    folder = embedded_folder(settings)
    if folder is None:
        with opened_warehouse(settings, "restore", needs_schema=False) as warehouse:
            _restore(warehouse, place, settings)
        return
    if folder.exists() and any(folder.iterdir()):
        with opened_warehouse(settings, "restore", needs_schema=False) as warehouse:
            check_empty(warehouse, DATABASES)
    prepare(settings)
    with (
        replacing(folder, lock_timeout_s=COMMAND_LOCK_TIMEOUT_S) as made,
        open_warehouse(
            replace(settings, clickhouse_url=f"chdb://{quote(str(made))}"),
            origin=Origin(job="masques restore"),
        ) as warehouse,
    ):
        _restore(warehouse, place, settings)


def _restore(warehouse: Warehouse, place: str, settings: Settings) -> None:
    restore_databases(warehouse, place, DATABASES, SCORES_VIEW)
    check_stamp(warehouse, settings)
    plan = make_plan(warehouse)
    if plan.refusals:
        raise BackupError(f"{place}: {'; '.join(plan.refusals)}")
    rows = warehouse.scalar(
        "SELECT sum(total_rows) FROM system.tables WHERE database IN {databases:Array(String)}",
        {"databases": list(DATABASES)},
    )
    click.echo(f"restored {rows:,} rows from {place}")
    click.echo("next: masques migrate" if plan.due else "next: masques verify --full")
