"""The `masques` command: the list of commands, and how an error is shown.

Help costs little and each command only what it needs: its module is loaded when it is called.
"""

import importlib
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn, cast

import click

from masques_pipelines.commands.console import show_progress
from masques_pipelines.errors import MasquesError

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_TERMINATED: Final = 143

# Each is the function of its name in the module of its name; the text is its short help.
OWN_COMMANDS: Final = {
    "accept": "Take what a table has now for what was written, after a loss.",
    "backup": "Write the whole warehouse to a new folder.",
    "breaks": "What gate, ledger and rails say differently, and what people say of it.",
    "demo": "Build the copy from a made world and show it.",
    "doctor": "Look at everything that a run needs, and say what to do.",
    "intake": "Load files of the landing zone, check one, look after quarantine.",
    "ledger": "Read the TigerBeetle ledger; nothing here writes to it.",
    "migrate": "Bring the schema up to date with sql/.",
    "payment": "The whole story of one payment.",
    "rails": "Look after the settlement rails; docs/rails.md describes how to connect them.",
    "reputation": "Scores of identities.",
    "restore": "Make the warehouse as a backup holds it.",
    "runbook": "Say what a red check or an alert means, and what to do.",
    "sandbox": "Make a world that agrees with itself, and move its clock.",
    "serve": "Serve the embedded warehouse on loopback: many ask while runs write.",
    "sql": "Run a query and show its result.",
    "status": "Say in some lines whether the copy is right, stuck or stale.",
    "trace": "Show the spans of a trace.",
    "verify": "Prove that the eight tables are what was written to them.",
}
DAGSTER_COMMANDS: Final = {
    "asset": "Dagster: asset materialize --select '*'.",
    "definitions": "Dagster: definitions validate.",
    "dev": "Dagster's UI on http://127.0.0.1:3000, schedules and sensors running.",
    "instance": "Dagster: instance info.",
    "job": "Dagster: job execute -j ledger_sync_job.",
    "run": "Dagster: list or delete runs.",
    "schedule": "Dagster: list, start or stop schedules.",
    "sensor": "Dagster: list, start or stop sensors.",
}


class Commands(click.Group):
    """The commands, each loaded when it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Returns the names of all commands."""
        return sorted(OWN_COMMANDS | DAGSTER_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        """Loads a command; None when there is none of that name."""
        if name in DAGSTER_COMMANDS:
            module = importlib.import_module("masques_pipelines.commands.dagster")
            return cast("click.Command", module.handed_over(name, DAGSTER_COMMANDS[name]))
        if name in OWN_COMMANDS:
            module = importlib.import_module(f"masques_pipelines.commands.{name}")
            return cast("click.Command", getattr(module, name))
        return None

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted((OWN_COMMANDS | DAGSTER_COMMANDS).items()))


@click.command(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="masques-pipelines", prog_name="masques")
def masques() -> None:
    """Builds, feeds and proves the ClickHouse copy of Masques.

    Settings are read from the environment and from .env; .env.example lists them.
    """


def main() -> None:
    """Runs the command line and exits.

    An error that a person can fix is one line on stderr and exit code 1 (a line for each bad
    setting); a wrong use of a command is 2, Ctrl-C 130, SIGTERM 143.
    """
    show_progress()
    os.umask(0o077)  # rows in quarantine, the history of runs: nothing here is for other users
    signal.signal(signal.SIGTERM, _terminate)
    try:
        # Not standalone: click would exit with 1 after Ctrl-C.
        sys.exit(masques.main(standalone_mode=False))
    except MasquesError as error:
        for line in str(error).splitlines():
            click.echo(f"masques: {line}", err=True)
        sys.exit(EXIT_FAILED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as error:
        if _is_interrupt(error):
            sys.exit(EXIT_INTERRUPTED)
        click.echo("masques: not confirmed, so nothing was done", err=True)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _is_interrupt(error: click.Abort) -> bool:
    return isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ends the command as Ctrl-C does: what is open is closed."""
    sys.exit(EXIT_TERMINATED)
