"""`masques payment`: the whole story of one payment, from any id that it has."""

import json
from decimal import Decimal

import click

from masques_pipelines.commands.breaks import break_lines
from masques_pipelines.commands.settings import command_settings
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.money import amount_text
from masques_pipelines.reconciliation.dossier import Dossier, dossiers


@click.group()
def payment() -> None:
    """The whole story of one payment."""


@payment.command("show")
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(key: str, *, as_json: bool) -> None:
    """Show the payments that KEY is about.

    KEY is the id of a request, transfer, hold, settlement or session; a nonce, transaction hash,
    payment hash or signature; or a trace.
    """
    with opened_warehouse(command_settings(), "payment show") as warehouse:
        found = dossiers(warehouse, key)
    if as_json:
        click.echo(json.dumps([each.as_json() for each in found], indent=2))
        return
    for each in found:
        for line in dossier_lines(each):
            click.echo(line)


def dossier_lines(found: Dossier) -> list[str]:
    """Returns a dossier as lines of text."""
    said = found.verdict
    lines = [f"payment    {found.item_id}"]
    if said:
        lines += [
            f"is         {said['transaction_type'] or 'not booked'} {said['state']}".rstrip(),
            f"gate       {said['gate'] or 'nothing due'}",
            f"rail       {said['rail'] or 'nothing due'}",
            f"posted     {_amount(said['posted'], said['currency'])}",
            f"charged    {_amount(said['charged'], said['currency'])} ({said['amount_basis']})",
            f"settled    {_amount(said['settled'], said['rail_currency'])}",
            f"refunded   {_amount(said['refunded'], said['currency'])}",
        ]
    else:
        lines.append("is         not compared yet")
    for each in found.breaks:
        lines += break_lines(each)
    lines += [
        "  ".join(
            part
            for part in (
                event["at"],
                f"{event['source']:<14}",
                f"{event['what']:<18}",
                _amount(event["amount"], event["currency"]) if event["amount"] else "",
                event["detail"],
                event["id"],
            )
            if part
        )
        for event in found.events
    ]
    return lines


def _amount(text: str, currency: str) -> str:
    return amount_text(Decimal(text), currency)
