"""`masques demo`: every asset on packaged data, and what came of it.

Here: laying down each part's input, one run through Dagster, and showing the results.
Not here: the parts (demo_<part>.py), the assets (defs/), and what only a demo would do.
A re-run brings nothing new: the packaged data does not grow, so no row is written.
"""

import re
import time
from collections.abc import Sequence
from typing import Final

import click

from masques_pipelines.commands import demo_intake, demo_ledger, demo_rails
from masques_pipelines.commands.dagster import running_dagster
from masques_pipelines.commands.warehouse import opened_warehouse
from masques_pipelines.errors import PermanentError
from masques_pipelines.sandbox import rates as demo_reputation
from masques_pipelines.settings import read_settings
from masques_pipelines.warehouse.sql import sql

PARTS: Final = (demo_ledger.PART, demo_intake.PART, demo_rails.PART, demo_reputation.PART)
TABLES_TITLE: Final = (
    "The tables (SELECT name, engine FROM system.tables WHERE database = 'masques')"
)
# Dagster's console line: "<time> - dagster - INFO - <job> - <run> - <pid> - <step> - <text>".
_LOG_LINE: Final = re.compile(
    r" - dagster - (?P<level>[A-Z]+) - (?P<job>\w+) - (?P<run>[0-9a-f-]{36}) - (?P<rest>.*)$"
)
_FAILURE_LINE: Final = re.compile(r"^dagster\S*\.Failure: (?P<reason>.*)$")
_SHOWN_LEVELS: Final = ("INFO", "WARNING", "ERROR")
_SHOWN_EVENTS: Final = ("STEP_SUCCESS", "STEP_FAILURE", "STEP_UP_FOR_RETRY")


@click.command(short_help="Build the copy from packaged data and show it.")
def demo() -> None:
    """Build the ClickHouse copy from packaged data and show what is in it."""
    settings = read_settings()
    started_s = time.monotonic()
    for part in PARTS:
        click.echo(part.prepare(settings))
    click.echo("run        every asset and check, through Dagster (it takes some seconds to start)")
    _materialize_all()
    with opened_warehouse(settings, "demo") as warehouse:
        click.echo(f"warehouse  {warehouse.description}")
        click.echo(f"\n{TABLES_TITLE}:")
        click.echo(warehouse.text(sql("sandbox/tables")), nl=False)
        for part in PARTS:
            for title, query in part.shows:
                click.echo(f"\n{title}:")
                click.echo(warehouse.text(sql(query)), nl=False)
    click.echo(f"\nDone in {time.monotonic() - started_s:.0f} s. Run it again: no row is written.")
    click.echo(
        "Next:  source .venv/bin/activate\n"
        "       masques dev                                 the Dagster UI, schedules running\n"
        "       masques asset materialize --select '*'      the same from the command line\n"
        '       masques sql "SELECT * FROM masques.transactions LIMIT 3" --format Vertical\n'
        "       README.md                                   your own ledger and ClickHouse server"
    )


def _materialize_all() -> None:
    """Materializes every asset in one run, showing its steps; raises when it failed."""
    lines: list[str] = []
    with running_dagster(["asset", "materialize", "--select", "*"]) as process:
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
    reasons = [match["reason"] for line in lines if (match := _FAILURE_LINE.match(line))]
    return reasons[-1:] or list(lines[-5:])
