"""`masques rails`: shows the state of the rails, rewinds one, registers payers' addresses."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.rails import catalog
from masques_pipelines.rails.payer_addresses import Payer
from masques_pipelines.rails.payer_addresses import register as register_payer
from masques_pipelines.rails.replay import replay as replay_rails
from masques_pipelines.rails.rewind import rewind as rewind_rail
from masques_pipelines.rails.status import check_lines, status_lines
from masques_pipelines.warehouse.sql import sql

_FOREVER: Final = datetime(2200, 1, 1, tzinfo=UTC)
_DATE: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


def _with(capability: str) -> Callable[[click.Context, click.Parameter, str], str]:
    """Returns a check that a name is that of a rail which has what a command needs of it."""

    def check(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
        names = [each.name for each in catalog.RAILS if getattr(each, capability) is not None]
        if value and value not in names:
            raise click.BadParameter(f"{value!r} is not one of {', '.join(names)}")
        return value

    return check


@click.group()
def rails() -> None:
    """Look after the settlement rails; docs/rails.md describes how to connect them."""


@rails.command()
def status() -> None:
    """Show where each rail stands, what is open, the last error, and what the chain says."""
    settings = command_settings()
    with opened_warehouse(settings, "rails status") as warehouse:
        for line in status_lines(warehouse, settings, datetime.now(UTC)):
            click.echo(line)
        for title, query in (
            ("Settlements", sql("rails/by_rail")),
            ("Contradictions", sql("rails/findings")),
        ):
            text = warehouse.text(query)
            if text.strip():
                click.echo(f"\n{title}:\n{text}", nl=False)


@rails.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Read each rail's endpoint once, without a warehouse, and say what is wrong with it.

    Nothing is stored. The exit code is 1 when a rail that is on cannot be read.
    """
    results = list(check_lines(command_settings()))
    for line, _ in results:
        click.echo(line)
    context.exit(0 if all(is_good for _, is_good in results) else 1)


@rails.command()
@click.argument("rail", callback=_with("rewind"))
@click.argument("position", type=click.IntRange(min=0))
def rewind(rail: str, position: int) -> None:
    """Read RAIL again from POSITION: a block, a slot, or an invoice index.

    Nothing is removed; what is read again unchanged appends nothing.
    """
    settings = command_settings()
    unit = catalog.by_name(rail).unit
    with opened_warehouse(settings, "rails rewind", writes=True) as warehouse:
        before = rewind_rail(warehouse, settings, rail, position)
    click.echo(f"{rail}: was at {unit} {before:,}; the next run continues from {unit} {position:,}")


@rails.command()
@click.option("--rail", default="", callback=_with("open"), help="Only this rail.")
@click.option("--reason", default="", help="Only this reason, or this kind of reasons.")
@click.pass_context
def replay(context: click.Context, rail: str, reason: str) -> None:
    """Read again what the rails put into quarantine, after its cause is gone.

    What is settled is recorded and linked, and its entry closed. `masques intake quarantine show
    --table settlements` shows the entries. The exit code is 1 when a rail cannot be read.
    """
    settings = command_settings()
    with opened_warehouse(settings, "rails replay", writes=True) as warehouse:
        done = replay_rails(warehouse, settings, rail=rail, reason=reason)
        for each in done:
            left = each.tried - each.closed
            text = f"tried {each.tried:,}, closed {each.closed:,}, {left:,} open"
            problem = f"; not read: {each.problem}" if each.problem else ""
            click.echo(f"{each.rail:10} {text}, {each.revisions:,} rows written{problem}")
    context.exit(1 if any(each.problem for each in done) else 0)


@rails.command()
@click.option("--rail", callback=_with("normalize_payer"), required=True)
@click.option("--address", required=True, help="As in settlements.payer.")
@click.option("--account", type=click.UUID, required=True, help="The ledger account of its owner.")
@click.option("--from", "valid_from", type=_DATE, required=True, help="UTC, inclusive.")
@click.option("--to", "valid_to", type=_DATE, help="UTC, exclusive; without it there is no end.")
def register(
    *,
    rail: str,
    address: str,
    account: uuid.UUID,
    valid_from: datetime,
    valid_to: datetime | None,
) -> None:
    """Register whose address pays: the second way from a settlement to an account."""
    until = valid_to.replace(tzinfo=UTC) if valid_to else _FOREVER
    entry = Payer(rail, address, account, valid_from.replace(tzinfo=UTC), until)
    with opened_warehouse(command_settings(), "rails register", writes=True) as warehouse:
        register_payer(warehouse, entry)
    click.echo(f"{rail} {address}: account {account} from {valid_from:%Y-%m-%d %H:%M:%S}")
