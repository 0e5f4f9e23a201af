"""The `masques` command: one door to everything a person runs.

Here: the list of commands, and how an error that a person can mend is shown.
Not here: what a command does (commands/, one file each).
A re-run of any command is safe; see each.
"""

import logging
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

import click

from masques_pipelines.commands import dagster as dagster_handover
from masques_pipelines.commands import demo, intake, ledger, migrate, rails, reputation, verify
from masques_pipelines.commands import sql as query
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
    """Runs the command line; an error that a person can mend is one line on stderr, exit code 1."""
    # The attempts of a retry would bury that line; the last one's reason is in it.
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        masques(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MasquesError as error:
        click.echo(f"masques: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe went away (`masques sql … | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """Ends the command as Ctrl-C does: what is open is closed."""
    sys.exit(EXIT_TERMINATED)
