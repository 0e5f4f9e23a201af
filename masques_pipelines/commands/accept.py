"""`masques accept`: takes what a table has now for what was written to it."""

import contextlib
from typing import Final

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.intake.run import LEASE as INTAKE
from masques_pipelines.inventory.acceptance import accept as accept_table
from masques_pipelines.inventory.acceptance import accept_changes
from masques_pipelines.inventory.detached import drop_detached
from masques_pipelines.inventory.tables import BY_ASSET
from masques_pipelines.rails.run import LEASE as RAILS
from masques_pipelines.reputation.signals import LEASE as SIGNALS
from masques_pipelines.warehouse.lease import writer_lease

# The ledger's proofs say what these hold; accepted is only that a statement changed them.
_PROVED_OTHERWISE: Final = ("accounts", "identities", "reputation_scores", "transactions")
_WRITERS: Final = {"settlements": (RAILS,), "reputation_events": (INTAKE, SIGNALS)}


@click.command(short_help="Take what a table has now for what was written, after a loss.")
@click.argument("table", type=click.Choice(sorted({*BY_ASSET, *_PROVED_OTHERWISE})))
@click.option("--by", required=True, help="Who decides.")
@click.option("--reason", required=True, help="Why, in words.")
def accept(table: str, by: str, reason: str) -> None:
    """Take the rows that TABLE has now for what was written to it.

    For a loss or a change that its sources cannot restore. What was wrong, who accepted it and why
    stay in masques_ops.inventory_accepted; from now on the table is compared with what it has.
    Parts of it that were put aside, as damaged ones are, are dropped.
    """
    with (
        opened_warehouse(command_settings(), "accept", writes=True) as warehouse,
        contextlib.ExitStack() as held,
    ):
        lines: tuple[str, ...] = ()
        if table in _PROVED_OTHERWISE:
            lines += accept_changes(warehouse, f"masques.{table}", by=by, reason=reason)
        if table not in BY_ASSET:
            _show(table, lines)
            return
        for name in _WRITERS.get(table, (INTAKE,)):
            held.enter_context(writer_lease(warehouse, name))
        lines += accept_table(warehouse, BY_ASSET[table], by=by, reason=reason)
        dropped = drop_detached(warehouse, BY_ASSET[table].name)
    _show(table, lines)
    for line in dropped:
        click.echo(f"dropped {line}")


def _show(table: str, lines: tuple[str, ...]) -> None:
    for line in lines:
        click.echo(f"accepted {line}")
    if not lines:
        click.echo(f"{table}: nothing is wrong with it, so nothing was accepted")
