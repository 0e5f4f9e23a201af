"""`masques breaks`: lists breaks and writes down what people say of them.

Not here: what a break is (sql/reconciliation/write_payments.sql). Nothing here changes money.
"""

import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import click

from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.user import user_name
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.money import amount_text
from masques_pipelines.reconciliation.breaks import (
    LEGS,
    STATES,
    BreakError,
    State,
    open_breaks,
    write_note,
)
from masques_pipelines.reconciliation.payments import compare_payments

_HOUR_S: Final = 3600


@click.group()
def breaks() -> None:
    """What gate, ledger and rails say differently, and what people say of it."""


@breaks.command("list")
@click.option("--class", "break_class", default="", help="Only breaks of this class.")
@click.option("--owner", default="", help="Only breaks of this owner.")
@click.option("--state", default="", type=click.Choice(("", "open", *STATES)), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(break_class: str, owner: str, state: str, *, as_json: bool) -> None:
    """List the open breaks, the worst first."""
    with opened_warehouse(command_settings(), "breaks list") as warehouse:
        found = open_breaks(warehouse, break_class=break_class, owner=owner, state=state)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for each in found:
        click.echo(break_line(each))
    click.echo(f"{len(found)} open breaks" if found else "no open breaks")


@breaks.command("show")
@click.argument("payment", type=click.UUID)
def show_command(payment: uuid.UUID) -> None:
    """Show the open breaks of PAYMENT with what to do."""
    with opened_warehouse(command_settings(), "breaks show") as warehouse:
        found = open_breaks(warehouse, item_id=payment)
    if not found:
        raise BreakError(f"{payment}: has no open break: `masques payment show` tells its story")
    for each in found:
        for line in break_lines(each):
            click.echo(line)


@breaks.command("compare")
@click.option("--full", is_flag=True, help="Compare everything, not only what is new.")
def compare_command(*, full: bool) -> None:
    """Compare requests, ledger and settlements now, as the schedule does."""
    with opened_warehouse(command_settings(), "breaks compare", writes=True) as warehouse:
        done = compare_payments(warehouse, full=full)
    what = "everything" if done.is_full else "what is new"
    click.echo(f"{what} compared: {done.rows_written} rows written")


def _noting(name: str, state: State, text: str) -> click.Command:
    """Returns the command that writes a note of one state."""

    @breaks.command(name, help=text)
    @click.argument("payment", type=click.UUID)
    @click.option("--note", required=True, help="Why, in words.")
    @click.option("--by", default="", help="Who says it; the name of this user when not given.")
    @click.option("--leg", default="", type=click.Choice(("", *LEGS)), help="When both are broken.")
    def command(payment: uuid.UUID, note: str, by: str, leg: str) -> None:
        with opened_warehouse(command_settings(), f"breaks {name}", writes=True) as warehouse:
            chosen = write_note(
                warehouse, payment, state=state, note=note, by=by or user_name(), leg=leg
            )
        click.echo(f"{payment} {chosen}: {state}; it counts in every total until facts close it")

    return command


_NOTES: Final[tuple[Callable[..., Any], ...]] = (
    _noting("ack", "acknowledged", "Say that somebody looks after the break of PAYMENT."),
    _noting("explain", "explained", "Say why the break of PAYMENT is right: it alerts no more."),
    _noting("write-off", "written_off", "Say that the money of the break of PAYMENT is given up."),
)


def break_line(each: dict[str, Any]) -> str:
    """Returns one line about a break."""
    return (
        f"{each['severity']:<8}  {each['class']:<19}  {each['leg']:<4}  {each['item_id']}  "
        f"{amount_text(Decimal(each['at_risk']), each['currency'])}  "
        f"{int(each['age_s']) // _HOUR_S} h  {each['owner']}  {each['state']}"
    )


def break_lines(each: dict[str, Any]) -> list[str]:
    """Returns all that is known of a break, as lines of text."""
    lines = [
        break_line(each),
        f"  found {each['opened_at']} UTC, to be closed until {each['deadline']}",
        f"  what to do: {each['what_to_do']}",
    ]
    lines += [f"  {name}: {each[name]}" for name in ("reason", "suggestion") if each[name]]
    if each["note"]:
        lines.append(f"  {each['state']} by {each['said_by']}: {each['note']}")
    return lines
