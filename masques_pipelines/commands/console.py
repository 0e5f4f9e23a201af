"""What every command says on stderr: progress, and first of all that this is the sandbox."""

import logging
from typing import Final

import click

from masques_pipelines.sandbox.stand_ins import mode_text, with_stand_ins
from masques_pipelines.settings import Settings, read_settings

_PACKAGE: Final = "masques_pipelines"
# The attempts of a retry would bury the error's one line; the last one's reason is in it.
_SILENT: Final = ("masques_pipelines.warehouse.retry",)


class _Stderr(logging.Handler):
    """Writes each record as one line, without level, name or time."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def show_progress() -> None:
    """Shows what the project logs from INFO on; libraries stay silent."""
    # Without any handler, Python itself would print the warnings of libraries.
    logging.getLogger().addHandler(logging.NullHandler())
    package = logging.getLogger(_PACKAGE)
    package.setLevel(logging.INFO)
    package.addHandler(_Stderr())
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def command_settings() -> Settings:
    """Returns the settings of a command; in the sandbox, says so as the command's first line.

    On stderr: what a command prints on stdout may go into a file or another program.

    Raises:
        SettingError: As read_settings and with_stand_ins.
    """
    settings = with_stand_ins(read_settings())
    announce(settings)
    return settings


def announce(settings: Settings) -> None:
    """Says that this is the sandbox; nothing in production."""
    if settings.sandbox_folder is not None:
        click.echo(mode_text(settings), err=True)
