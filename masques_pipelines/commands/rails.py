"""`masques rails`: where the rails stand, reading again, and whose addresses pay.

Here: the command group.
Not here: reading rails (rails/), runs (`masques job execute -j settlement_ingestion_job`).
A re-run of any of them changes nothing more.
"""

import uuid
from datetime import UTC, datetime
from typing import Final

import click

from masques_pipelines.commands.console import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.rails import payer_addresses as registry
from masques_pipelines.rails import rewind as rewinding
from masques_pipelines.rails.catalog import RAILS, off_because
from masques_pipelines.warehouse.sql import sql

_CHAINS: Final = ("base", "solana", "lightning")
_EVER: Final = datetime(2200, 1, 1, tzinfo=UTC)
_DATE: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.group()
def rails() -> None:
    """Look after the settlement rails; docs/rails.md tells how to connect them."""


@rails.command()
def status() -> None:
    """Show which rails are on, where each stands, and what its settlements are."""
    settings = command_settings()
    for name in RAILS:
        reason = off_because(settings, name)
        click.echo(f"{name:10} {'off: ' + reason if reason else 'on'}")
    with opened_warehouse(settings, "rails status") as warehouse:
        for title, query in (
            ("Where they stand", "rails/cursors"),
            ("Settlements", "rails/by_rail"),
            ("What contradicts itself", "rails/findings"),
        ):
            click.echo(f"\n{title}:")
            click.echo(warehouse.text(sql(query)), nl=False)


@rails.command()
@click.argument("rail", type=click.Choice(_CHAINS))
@click.argument("position", type=click.IntRange(min=0))
def rewind(rail: str, position: int) -> None:
    """Let RAIL be read again from POSITION: a block, a slot, or an invoice index.

    Nothing is removed; what is read again and has not changed appends nothing.
    """
    settings = command_settings()
    with opened_warehouse(settings, "rails rewind", writes=True) as warehouse:
        was = rewinding.rewind(warehouse, settings, rail, position)
    click.echo(f"{rail}: was at {was:,}; the next run reads on from {position:,}")


@rails.command()
@click.option("--rail", type=click.Choice(_CHAINS), required=True)
@click.option("--address", required=True, help="As settlements.payer has it.")
@click.option("--account", type=click.UUID, required=True, help="The ledger account of its owner.")
@click.option("--from", "valid_from", type=_DATE, required=True, help="UTC, inclusive.")
@click.option("--to", "valid_to", type=_DATE, help="UTC, exclusive; for ever when not given.")
def register(
    *,
    rail: str,
    address: str,
    account: uuid.UUID,
    valid_from: datetime,
    valid_to: datetime | None,
) -> None:
    """Say whose address pays: the second way from a settlement to an account."""
    until = valid_to.replace(tzinfo=UTC) if valid_to else _EVER
    entry = registry.Payer(rail, address, account, valid_from.replace(tzinfo=UTC), until)
    with opened_warehouse(command_settings(), "rails register", writes=True) as warehouse:
        registry.register(warehouse, entry)
    click.echo(f"{rail} {address}: account {account} from {valid_from:%Y-%m-%d %H:%M:%S}")
