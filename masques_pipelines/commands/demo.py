"""`masques demo`: a small world, every asset made from it, and what came of it.

Always the sandbox of MASQUES_HOME, whatever the settings name. A second demo writes no row: the
world's clock stands still.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Final

import click

from masques_pipelines.commands.dagster import running_dagster
from masques_pipelines.commands.sandbox import show_comparison
from masques_pipelines.commands.settings import announce
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.defs.run_log import FAILED
from masques_pipelines.errors import PermanentError, SettingError
from masques_pipelines.ledger.proofs.suite import prove_all
from masques_pipelines.sandbox.stand_ins import (
    demo_environment,
    prepare_sources,
    with_stand_ins,
)
from masques_pipelines.settings import Settings, environment, read_settings
from masques_pipelines.warehouse.sql import sql

TABLES_TITLE: Final = (
    "The tables (SELECT name, engine FROM system.tables WHERE database = 'masques')"
)
# Dagster's console line: "<time> - dagster - INFO - <job> - <run> - <pid> - <step> - <text>".
_LOG_LINE: Final = re.compile(
    r" - dagster - (?P<level>[A-Z]+) - (?P<job>\w+) - (?P<run>[0-9a-f-]{36}) - (?P<rest>.*)$"
)
_SHOWN_LEVELS: Final = ("INFO", "WARNING", "ERROR")
_SANDBOX: Final = "MASQUES_SANDBOX"
_SHOWS: Final = (
    ("The money, by ledger (whole units of the currency)", "ledger/money_by_currency"),
    ("Settlements, by rail and status (whole units of the currency)", "rails/by_rail"),
    ("What was charged and refunded, and what the ledger moved", "sandbox/charges"),
    ("Why rows are in quarantine", "sandbox/intake_quarantine"),
)
_NEXT: Final = (
    "masques sandbox advance 30m                 more of the world, as time passes; or live",
    "masques sandbox check                       what was found of the troubles, one by one",
    "masques dev                                 the Dagster UI, schedules running",
    "masques asset materialize --select '*'      the same from the command line",
    'masques sql "SELECT * FROM masques.transactions LIMIT 3" --format Vertical',
)
_SHOWN_EVENTS: Final = ("STEP_SUCCESS", "STEP_FAILURE", "STEP_UP_FOR_RETRY")


@click.command(short_help="Build the copy from a made world and show it.")
def demo() -> None:
    """Build the ClickHouse copy from a made world, in the sandbox, and show what is in it."""
    environ = environment()
    variables, ignored = demo_environment(environ)
    settings = with_stand_ins(read_settings({**environ, **variables}))
    announce(settings)
    started_s = time.monotonic()
    if ignored:
        click.echo(f"ignored    {', '.join(ignored)}: a demo reads only its own world")
    folder = settings.sandbox_folder or settings.home
    click.echo(prepare_sources(settings))
    click.echo("run        every asset and check, through Dagster (it takes some seconds to start)")
    _materialize_all(variables)
    with opened_warehouse(settings, "demo") as warehouse:
        click.echo(f"warehouse  {warehouse.description}")
        click.echo(f"\n{TABLES_TITLE}:")
        click.echo(warehouse.text(sql("sandbox/tables")), nl=False)
        for title, query in _SHOWS:
            click.echo(f"\n{title}:")
            click.echo(warehouse.text(sql(query)), nl=False)
        results = prove_all(warehouse)
        hold = sum(each.outcome == "holds" for each in results.values())
        click.echo(f"\nproofs     {hold} of {len(results)} proofs of the ledger's copy hold")
        show_comparison(folder, warehouse)
    click.echo(f"\nDone in {time.monotonic() - started_s:.0f} s. Run it again: no row is written.")
    click.echo("\n".join(_next_steps(settings, ignored)))


def _next_steps(settings: Settings, ignored: Sequence[str]) -> list[str]:
    """Returns commands that continue in the demo's sandbox."""
    # Where the settings are of production, a shell of its own is the sandbox.
    blanks = "".join(f" {name}=" for name in ignored if name != _SANDBOX)
    shell = [] if _is_default(settings) else [f"export {_SANDBOX}=1{blanks}"]
    return [
        "Next:  source .venv/bin/activate",
        *(f"       {line}" for line in (*shell, *_NEXT)),
        "       README.md                                   your own ledger and ClickHouse server",
    ]


def _is_default(settings: Settings) -> bool:
    """Returns whether the environment's own settings are the demo's sandbox."""
    try:
        own = with_stand_ins(read_settings())
    except SettingError:
        return False
    return own.sandbox_folder == settings.sandbox_folder


def _materialize_all(variables: Mapping[str, str]) -> None:
    """Materializes every asset in one run, showing its steps; raises when it failed."""
    lines: list[str] = []
    with running_dagster(["asset", "materialize", "--select", "*"], variables) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            shown = _condensed(lines[-1])
            if shown:
                click.echo(f"           {shown}")
    if process.returncode:
        raise PermanentError("the run failed: " + "\n".join(_failure_lines(lines)))


def _condensed(line: str) -> str | None:
    """Returns what a person watching wants to see of one line of Dagster's log, if anything."""
    match = _LOG_LINE.search(line)
    if match is None:
        return None
    parts = [part.strip() for part in match["rest"].split(" - ")]
    if len(parts) < 2:
        return None
    if any(event in parts for event in _SHOWN_EVENTS):
        return parts[-1]
    return parts[-1] if match["level"] in _SHOWN_LEVELS else None


def _failure_lines(lines: Sequence[str]) -> list[str]:
    """Returns what Dagster gives as the reason, else the end of its output."""
    reasons = [line.removeprefix(FAILED) for line in lines if line.startswith(FAILED)]
    return reasons[-1:] or list(lines[-5:])
