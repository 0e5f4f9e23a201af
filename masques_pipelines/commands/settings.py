"""Reads the settings of a command, and says first of all when this is the sandbox."""

import click

from masques_pipelines.sandbox.stand_ins import mode_text, with_stand_ins
from masques_pipelines.settings import Settings, read_settings


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
