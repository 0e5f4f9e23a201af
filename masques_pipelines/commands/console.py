"""Shows on stderr what the project logs."""

import logging
from typing import Final

import click

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
