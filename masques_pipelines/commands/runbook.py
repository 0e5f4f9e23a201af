"""`masques runbook`: what a check or an alert means when it is red, and what to do."""

import textwrap
from typing import Final

import click

from masques_pipelines.alerts.runbook import runbook as entries
from masques_pipelines.errors import SettingError

_WIDTH: Final = 96


@click.command(short_help="Say what a red check or an alert means, and what to do.")
@click.argument("name", required=False)
def runbook(name: str | None) -> None:
    """Print the entry NAME of the runbook; without NAME, list the entries."""
    known = entries()
    if name is None:
        for each in known:
            click.echo(each)
        return
    if name not in known:
        raise SettingError(
            f"NAME: there is no entry {name[:60]!r}; `masques runbook` lists them: each check and "
            "each kind of alert has one"
        )
    click.echo(textwrap.fill(known[name].means, _WIDTH))
    click.echo(textwrap.fill(f"Do: {known[name].what_to_do}", _WIDTH))
