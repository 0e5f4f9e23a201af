"""`masques migrate`: bring the schema up to date, or say what that would do.

Here: the command and what it prints.
Not here: planning and applying (schema/migrations.py).
A re-run applies what is due and nothing else.
"""

import click

from masques_pipelines.commands.console import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.sandbox.stamp import stamp_warehouse
from masques_pipelines.schema import migrations


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Say what is due; change nothing.")
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Exit with 1 when anything is due, edited, missing, unknown or has drifted.",
)
def migrate(*, only_plan: bool, only_check: bool) -> None:
    """Bring the schema up to date with sql/."""
    settings = command_settings()
    with opened_warehouse(settings, "migrate") as warehouse:
        if only_plan or only_check:
            plan = migrations.make_plan(warehouse)
            _show(plan)
            if only_check and not plan.is_clean:
                raise SystemExit(1)
            return
        applied = migrations.migrate(warehouse, report=click.echo)
        stamp_warehouse(warehouse, settings)
        if not applied:
            click.echo(f"the schema is up to date ({migrations.migration_files()[-1].name})")


def _show(plan: migrations.Plan) -> None:
    for line in plan.refusals:
        click.echo(f"refused  {line}")
    for line in plan.drift:
        click.echo(f"drift    {line}")
    for line in plan.half_applied:
        click.echo(f"half     {line}")
    for file in plan.pending:
        click.echo(f"due      {file.name}")
    if plan.is_clean:
        click.echo(f"the schema is up to date ({migrations.migration_files()[-1].name})")
