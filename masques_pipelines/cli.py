"""The `masques` command: the list of commands, and how an error is shown."""

import signal
import sys
from types import FrameType
from typing import Final, NoReturn

import click

from masques_pipelines.commands import dagster as dagster_handover
from masques_pipelines.commands import demo, intake, ledger, migrate, rails, reputation, verify
from masques_pipelines.commands import sql as query
from masques_pipelines.commands.console import show_progress
from masques_pipelines.errors import MasquesError

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_TERMINATED: Final = 143


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="masques-pipelines", prog_name="masques")
def masques() -> None:
    """Builds, feeds and proves the ClickHouse copy of Masques.

    Settings are read from the environment and from .env; .env.example lists them.
    """


masques.add_command(demo.demo)
masques.add_command(migrate.migrate)
masques.add_command(ledger.ledger)
masques.add_command(intake.intake)
masques.add_command(query.sql)
masques.add_command(verify.verify)
masques.add_command(rails.rails)
masques.add_command(reputation.reputation)
for _command in dagster_handover.COMMANDS:
    masques.add_command(_command)


def main() -> None:
    """Runs the command line and exits.

    An error that a person can fix is one line on stderr and exit code 1 (a line for each bad
    setting); a wrong use of a command is 2, Ctrl-C 130, SIGTERM 143.
    """
    show_progress()
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
