"""`masques rails`: shows the rails, replays and rewinds them, decides claims, registers payers."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.user import user_name
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.errors import SettingError
from masques_pipelines.rails import catalog
from masques_pipelines.rails.claims import ClaimedSettlement, Decision, claimed_settlements, decide
from masques_pipelines.rails.descriptor import RailPlace
from masques_pipelines.rails.payer_addresses import Payer
from masques_pipelines.rails.payer_addresses import register as register_payer
from masques_pipelines.rails.replay import replay as replay_rails
from masques_pipelines.rails.rewind import rewind as rewind_rail
from masques_pipelines.rails.status import check_lines, file_lines, status_lines
from masques_pipelines.sandbox.stand_ins import prepare_sources
from masques_pipelines.settings import Settings
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


def _place(settings: Settings, name: str) -> RailPlace:
    """Returns the network or node of a name."""
    try:
        return catalog.place(settings, name)
    except SettingError as error:
        raise click.BadParameter(str(error)) from error


def _network(settings: Settings, rail: str, text: str) -> str:
    """Returns the network of a rail that a name or a CAIP-2 id is of."""
    known = {
        each.name: each.key.network for each in catalog.places(settings) if each.key.rail == rail
    }
    found = known.get(text, text)
    if found not in known.values():
        names = ", ".join(f"{name} ({network})" for name, network in known.items())
        raise click.BadParameter(f"{text!r} is no network of {rail} in the settings: {names}")
    return found


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
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.pass_context
def check(context: click.Context, file: Path | None) -> None:
    """Read each rail's endpoint once, without a warehouse, and say what is wrong with it.

    With FILE only that file is checked, for MASQUES_RAILS_FILE: no endpoint is read. Nothing that
    is read is stored. The exit code is 1 when a rail that is on cannot be read.
    """
    if file is not None:
        for line in file_lines(file):
            click.echo(line)
        return
    settings = command_settings()
    prepare_sources(settings)
    results = list(check_lines(settings))
    for line, _ in results:
        click.echo(line)
    context.exit(0 if all(is_good for _, is_good in results) else 1)


@rails.command()
@click.argument("rail")
@click.argument("position", type=click.IntRange(min=0))
def rewind(rail: str, position: int) -> None:
    """Read RAIL again from POSITION: a block, a slot, or an invoice index.

    RAIL is what the settings call it, as `masques rails status` lists it.

    What is read again unchanged appends nothing. Damaged parts of masques.settlements are put
    aside first, so that what they held is written again.
    """
    settings = command_settings()
    unit = _place(settings, rail).kind.unit
    with opened_warehouse(settings, "rails rewind", writes=True) as warehouse:
        done = rewind_rail(warehouse, settings, rail, position)
    click.echo(
        f"{rail}: was at {unit} {done.before:,}; the next run continues from {unit} {position:,}"
    )
    for part in done.detached:
        click.echo(
            f"masques.settlements: part {part} is damaged and was put aside; when "
            "settlement_ingestion_job has read its settlements again, `masques accept settlements` "
            "takes their new revisions for what was written, and drops the part"
        )


@rails.command()
@click.option("--rail", default="", help="Only this network or node, as status lists it.")
@click.option("--reason", default="", help="Only this reason, or this kind of reasons.")
@click.pass_context
def replay(context: click.Context, rail: str, reason: str) -> None:
    """Read again what the rails put into quarantine, after its cause is gone.

    What is settled is recorded and linked, and its entry closed. `masques intake quarantine show
    --table settlements` shows the entries. The exit code is 1 when a rail cannot be read.
    """
    settings = command_settings()
    if rail:
        _place(settings, rail)
    with opened_warehouse(settings, "rails replay", writes=True) as warehouse:
        done = replay_rails(warehouse, settings, rail=rail, reason=reason)
        for each in done:
            left = each.tried - each.closed
            text = f"tried {each.tried:,}, closed {each.closed:,}, {left:,} open"
            problem = f"; not read: {each.problem}" if each.problem else ""
            click.echo(f"{each.rail:10} {text}, {each.revisions:,} rows written{problem}")
    context.exit(1 if any(each.problem for each in done) else 0)


@rails.command()
@click.option("--all", "with_decided", is_flag=True, help="Those that were decided as well.")
def claims(*, with_decided: bool) -> None:
    """List settlements that several lines claim for different ledger transfers.

    None of them is linked before `masques rails resolve` decides.
    """
    with opened_warehouse(command_settings(), "rails claims") as warehouse:
        found = claimed_settlements(warehouse)
    shown = [each for each in found if with_decided or not each.is_decided]
    for each in shown:
        _show_claims(each)
    if not shown:
        click.echo("no claims contradict each other, or all are decided")


@rails.command()
@click.argument("settlement", type=click.UUID)
@click.argument("transactions", type=click.UUID, nargs=-1)
@click.option("--none", "is_none", is_flag=True, help="Decide for none of the claims.")
@click.option("--withdraw", "is_withdrawn", is_flag=True, help="Withdraw the decision.")
@click.option("--reason", required=True, help="Why; it is kept with the decision.")
@click.option("--by", default="", help="Who decides; the name of this user when not given.")
def resolve(  # noqa: PLR0913 - one argument per option
    settlement: uuid.UUID,
    transactions: tuple[uuid.UUID, ...],
    *,
    is_none: bool,
    is_withdrawn: bool,
    reason: str,
    by: str,
) -> None:
    """Decide which claim on SETTLEMENT is right: that of the ledger transfers TRANSACTIONS.

    The decision is a row of masques_ops.claim_decisions. Later lines do not change it, and
    --withdraw takes it back.
    """
    if [bool(transactions), is_none, is_withdrawn].count(True) != 1:
        raise click.UsageError("give the ledger transfers of a claim, or --none, or --withdraw")
    decision: Decision = "none" if is_none else "withdrawn" if is_withdrawn else "linked"
    with opened_warehouse(command_settings(), "rails resolve", writes=True) as warehouse:
        each = decide(
            warehouse, settlement, decision, transactions, by=by or user_name(), reason=reason
        )
    _show_claims(each)


def _show_claims(each: ClaimedSettlement) -> None:
    click.echo(
        f"{each.settlement_id}  {each.rail} {each.network} {each.status} {each.direction} "
        f"{each.amount.normalize():f} {each.currency}, transaction {each.tx_hash or 'none'}"
    )
    for said_at, ids, places in each.claims:
        lines = f" ({', '.join(places)})" if places else ""
        click.echo(f"    claimed {said_at:%Y-%m-%d %H:%M:%S}: {_joined(ids)}{lines}")
    if each.decision:
        what = f"linked to {_joined(each.chosen)}" if each.chosen else "linked to none"
        click.echo(
            f"    decided {each.decided_at:%Y-%m-%d %H:%M:%S} by {each.decided_by}: {what}: "
            f"{each.reason}"
        )
    if not each.is_decided:
        later = "a claim came later, or the chosen one is not proved any more; " * bool(
            each.decision
        )
        click.echo(
            f"    {later}to decide: masques rails resolve {each.settlement_id} "
            'LEDGER_TRANSFER … --reason "…"'
        )


def _joined(ids: Sequence[uuid.UUID]) -> str:
    return " and ".join(map(str, ids))


@rails.command()
@click.option("--rail", callback=_with("normalize_payer"), required=True)
@click.option(
    "--network", default="", help="Name or CAIP-2 id of one network; without it all of the rail."
)
@click.option("--address", required=True, help="As in settlements.payer.")
@click.option("--account", type=click.UUID, required=True, help="The ledger account of its owner.")
@click.option("--from", "valid_from", type=_DATE, required=True, help="UTC, inclusive.")
@click.option("--to", "valid_to", type=_DATE, help="UTC, exclusive; without it there is no end.")
def register(  # noqa: PLR0913 - its options
    *,
    rail: str,
    network: str,
    address: str,
    account: uuid.UUID,
    valid_from: datetime,
    valid_to: datetime | None,
) -> None:
    """Register whose address pays: the second way from a settlement to an account."""
    until = valid_to.replace(tzinfo=UTC) if valid_to else _FOREVER
    settings = command_settings()
    of_network = _network(settings, rail, network) if network else ""
    entry = Payer(rail, address, account, valid_from.replace(tzinfo=UTC), until, of_network)
    with opened_warehouse(settings, "rails register", writes=True) as warehouse:
        register_payer(warehouse, entry)
    where = f"{rail} {of_network}".strip()
    click.echo(f"{where} {address}: account {account} from {valid_from:%Y-%m-%d %H:%M:%S}")
