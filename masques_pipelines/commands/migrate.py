"""`masques migrate`: brings the schema up to date, or shows what that would do."""

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.schema import migrations
from masques_pipelines.schema.declared import declared_schema
from masques_pipelines.schema.files import sql_files


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what is due; change nothing.")
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Exit with 1 when anything is due, edited, missing, unknown or has drifted.",
)
def migrate(*, only_plan: bool, only_check: bool) -> None:
    """Bring the schema up to date with sql/."""
    settings = command_settings()
    with opened_warehouse(settings, "migrate", needs_schema=False) as warehouse:
        if only_plan or only_check:
            plan = migrations.make_plan(warehouse)
            _show(plan)
            if only_check and not plan.is_clean:
                raise SystemExit(1)
            return
        applied = migrations.migrate(warehouse)
        stamp_warehouse(warehouse, settings)
        for name in applied:
            click.echo(f"applied {name}")
        if not applied:
            click.echo(_up_to_date())


def _show(plan: migrations.Plan) -> None:
    for line in plan.refusals:
        click.echo(f"refused  {line}")
    for line in plan.drift:
        click.echo(f"drift    {line}")
    for line in plan.half_applied:
        click.echo(f"half     {line}")
    for file in plan.due:
        click.echo(f"due      {file.name}")
    if plan.is_clean:
        click.echo(_up_to_date())


def _up_to_date() -> str:
    newest = [file.name for file in sql_files() if not file.is_views][-1]
    return f"the schema is up to date ({newest}, views version {declared_schema().views_version})"
